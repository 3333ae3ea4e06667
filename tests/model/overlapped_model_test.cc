#include "model/overlapped_model.h"

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using testing::ElementsAre;

// Generates frame after frame; a step's frames show when it was read.
class Counter : public Session {
 public:
  explicit Counter(Slot slot) : slot_(std::move(slot)) {}
  absl::Status Push(Input) override { return absl::OkStatus(); }
  Work work() const override { return {.generate = true, .decode_frames = frames}; }
  Output Take() override { return {.samples = std::vector<float>(frames)}; }

  int frames = 0;

 private:
  const Slot slot_;
};

class CountingModel : public OverlappedModel {
 public:
  CountingModel() : OverlappedModel(/*slots=*/3) {
    info_.max_batch = 2;
    info_.steps_under_way = kStepsUnderWay;
  }
  const ModelInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput&) const override {
    return nullptr;
  }

  std::vector<std::string> done;
  absl::Status start, read, each;

 private:
  absl::StatusOr<std::unique_ptr<Session>> NewSession(const SessionSpec&, Slot slot) override {
    return std::make_unique<Counter>(std::move(slot));
  }
  absl::Status Start(const Step& step) override {
    done.push_back("start " + std::to_string(step.place));
    return start;
  }
  absl::Status Read(const Step& step, absl::Span<absl::Status> statuses) override {
    done.push_back("read " + std::to_string(step.place));
    for (Session* session : step.batch) ++static_cast<Counter*>(session)->frames;
    statuses[0] = each;
    return read;
  }

  ModelInfo info_;
};

class OverlappedModelTest : public testing::Test {
 protected:
  OverlappedModelTest() {
    for (auto& session : sessions_) session = *model_.Open({});
  }
  Ticket Generate(std::vector<int> sessions) {
    std::vector<Session*> batch;
    for (int i : sessions) batch.push_back(sessions_[i].get());
    return model_.Submit(Stage::kGenerate, batch, 0);
  }
  absl::Status Wait(Ticket ticket) { return model_.Wait(ticket, &report_); }

  CountingModel model_;
  std::unique_ptr<Session> sessions_[3];
  StepReport report_;
};

TEST_F(OverlappedModelTest, ASessionInAStepHasNoWorkUntilItWasWaitedFor) {
  const Ticket first = Generate({0}), second = Generate({1, 2});
  EXPECT_THAT(model_.done, testing::SizeIs(2)) << "both under way";
  for (const auto& session : sessions_) {
    EXPECT_FALSE(session->work().any());
    EXPECT_THAT(session->Take().samples, testing::IsEmpty());
  }
  ASSERT_TRUE(Wait(first).ok());
  EXPECT_TRUE(sessions_[0]->work().generate);
  EXPECT_EQ(sessions_[0]->work().decode_frames, 1);
  EXPECT_EQ(sessions_[0]->Take().samples.size(), 1u);
  EXPECT_FALSE(sessions_[1]->work().any());
  const Ticket third = Generate({0});
  ASSERT_TRUE(Wait(second).ok());
  ASSERT_TRUE(Wait(third).ok());
  EXPECT_EQ(sessions_[0]->work().decode_frames, 2);
  EXPECT_EQ(sessions_[2]->work().decode_frames, 1);
  EXPECT_THAT(model_.done,
              ElementsAre("start 1", "start 0", "read 1", "start 1", "read 0", "read 1"));
}

TEST_F(OverlappedModelTest, TicketsComeInTheirOrderAndOnce) {
  const Ticket first = Generate({0}), second = Generate({1});
  EXPECT_EQ(Wait(second).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Wait(first).ok());
  EXPECT_EQ(Wait(first).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Wait(second).ok());
}

TEST_F(OverlappedModelTest, AStepWithoutMemoryIsNotBegun) {
  const Ticket large = Generate({0, 1, 2});
  EXPECT_TRUE(sessions_[0]->work().generate) << "known at once";
  const Ticket fits = Generate({0});
  EXPECT_EQ(DetailOf(Wait(large)).reason, "BATCH_TOO_LARGE");
  EXPECT_FALSE(sessions_[0]->work().any()) << "it is in the step after";
  EXPECT_TRUE(Wait(fits).ok());
  model_.start = absl::ResourceExhaustedError("memory");
  const Ticket refused = Generate({1});
  EXPECT_TRUE(sessions_[1]->work().generate);
  EXPECT_TRUE(absl::IsResourceExhausted(Wait(refused)));
  model_.start = absl::OkStatus();
  EXPECT_TRUE(Wait(Generate({1})).ok());
}

TEST_F(OverlappedModelTest, ASessionsFailureIsItsOwn) {
  model_.each = absl::InternalError("not a number");
  ASSERT_TRUE(Wait(Generate({2, 1})).ok());
  ASSERT_EQ(report_.session_status.size(), 2u);
  EXPECT_FALSE(report_.session_status[0].ok());
  EXPECT_TRUE(report_.session_status[1].ok());
}

TEST_F(OverlappedModelTest, OfALostDeviceNothingMoreIsAsked) {
  const Ticket first = Generate({0}), second = Generate({1});
  model_.read = absl::UnavailableError("gone");
  EXPECT_TRUE(absl::IsUnavailable(Wait(first)));
  const size_t asked = model_.done.size();
  EXPECT_TRUE(absl::IsUnavailable(Wait(second)));
  EXPECT_TRUE(absl::IsUnavailable(Wait(Generate({2}))));
  EXPECT_EQ(model_.done.size(), asked);
}

TEST_F(OverlappedModelTest, SlotsRunOutAndComeBack) {
  EXPECT_EQ(DetailOf(model_.Open({}).status()).reason, "NO_SLOT");
  sessions_[1].reset();
  EXPECT_TRUE(model_.Open({}).ok());
}

}  // namespace
}  // namespace firstbyte

// The contract of model/model.h as the family keeps it.
#include "model/speech/aligned_mel/session.h"

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/speech/aligned_mel/engine.h"

namespace firstbyte::aligned_mel {
namespace {

class SessionTest : public EngineTest {
 protected:
  void SetUp() override {
    EngineTest::SetUp();
    if (IsSkipped()) return;
    golden_ = LoadGolden("two_clauses");
    model_ = NewModel({.slots = 2, .max_batch = 2});
    session_ = Open();
  }

  std::unique_ptr<Session> Open() {
    auto session = model_->Open(golden_.spec());
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }
  void PushClause(int index) {
    ASSERT_TRUE(session_->Push(PreparedOf(golden_.clauses[index])).ok());
  }
  int64_t SamplesOf(int index) const {
    return static_cast<int64_t>(golden_.clauses[index].ends.back()) * kMelSamples;
  }

  GoldenCase golden_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Session> session_;
};

TEST_P(SessionTest, GenerateMayStartAfterTheFirstPrefill) {
  EXPECT_FALSE(session_->work().any());
  PushClause(0);
  EXPECT_EQ(session_->work().clauses_waiting, 1);
  EXPECT_TRUE(session_->work().prefill);
  EXPECT_FALSE(session_->work().generate);
  Step(model_.get(), Stage::kPrefill, {session_.get()});
  EXPECT_EQ(session_->work().clauses_waiting, 0);
  EXPECT_TRUE(session_->work().generate);
}

TEST_P(SessionTest, TheFirstFrameGives25Milliseconds) {
  PushClause(0);
  Step(model_.get(), Stage::kPrefill, {session_.get()});
  Step(model_.get(), Stage::kGenerate, {session_.get()});
  EXPECT_EQ(session_->work().decode_frames, 1);
  Step(model_.get(), Stage::kDecode, {session_.get()});
  EXPECT_EQ(session_->Take().samples.size(), 400u);
}

TEST_P(SessionTest, MarkersLeaveWithTheAudioBeforeThem) {
  ASSERT_TRUE(session_->Push(Marker{"start"}).ok());
  PushClause(0);
  ASSERT_TRUE(session_->Push(Marker{"middle"}).ok());
  PushClause(1);
  ASSERT_TRUE(session_->Push(Marker{"end"}).ok());
  ASSERT_TRUE(session_->Push(EndOfInput{}).ok());
  std::vector<MarkerAt> markers;
  int64_t samples = 0;
  while (!session_->work().done) {
    Output output = session_->Take();
    samples += static_cast<int64_t>(output.samples.size());
    for (MarkerAt& marker : output.markers) {
      // At most the look-ahead of 15 ms is still held back.
      EXPECT_LE(marker.sample, samples + 240) << marker.id;
      markers.push_back(std::move(marker));
    }
    Work work = session_->work();
    if (!work.any()) continue;
    Stage stage = work.decode_frames > 0 ? Stage::kDecode
                  : work.generate        ? Stage::kGenerate
                                         : Stage::kPrefill;
    Step(model_.get(), stage, {session_.get()});
    if (HasFatalFailure()) return;
  }
  ASSERT_EQ(markers.size(), 3u);
  EXPECT_EQ(markers[0].sample, 0);
  EXPECT_EQ(markers[1].sample, SamplesOf(0));
  EXPECT_EQ(markers[2].sample, SamplesOf(0) + SamplesOf(1));
  EXPECT_EQ(samples, SamplesOf(0) + SamplesOf(1));
}

TEST_P(SessionTest, AnEndThatComesLateFlushesTheTail) {
  PushClause(0);
  size_t samples = Finish(model_.get(), session_.get()).size();
  EXPECT_EQ(samples, SamplesOf(0) - 240);
  EXPECT_FALSE(session_->work().done);
  ASSERT_TRUE(session_->Push(EndOfInput{}).ok());
  EXPECT_EQ(session_->work().decode_frames, 1);
  Step(model_.get(), Stage::kDecode, {session_.get()});
  EXPECT_EQ(session_->Take().samples.size(), 240u);
  EXPECT_TRUE(session_->work().done);
}

TEST_P(SessionTest, AStreamWithoutClausesIsDoneAtOnce) {
  ASSERT_TRUE(session_->Push(EndOfInput{}).ok());
  EXPECT_TRUE(session_->work().done);
  EXPECT_TRUE(session_->Take().samples.empty());
}

TEST_P(SessionTest, RefusesWhatItCannotSpeak) {
  struct Foreign : Prepared {};
  EXPECT_EQ(DetailOf(session_->Push(std::make_unique<Foreign>())).reason, "BAD_CLAUSE");
  EXPECT_EQ(DetailOf(session_->Push(std::unique_ptr<Prepared>())).reason, "BAD_CLAUSE");
  GoldenCase::Clause damaged = golden_.clauses[0];
  damaged.phones.phones[1] = 99999;
  EXPECT_EQ(DetailOf(session_->Push(PreparedOf(damaged))).reason, "BAD_CLAUSE");
  ASSERT_TRUE(session_->Push(EndOfInput{}).ok());
  EXPECT_EQ(session_->Push(Marker{"x"}).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(SessionTest, SlotsAreCountedAndComeBack) {
  auto second = Open();
  EXPECT_EQ(model_->Open({}).status().code(), absl::StatusCode::kResourceExhausted);
  second.reset();
  EXPECT_TRUE(model_->Open({}).ok());
}

TEST_P(SessionTest, ABatchThatIsTooLargeAdvancesNobody) {
  PushClause(0);
  StepReport report;
  std::vector<Session*> batch(3, session_.get());
  absl::Status status = model_->Wait(model_->Submit(Stage::kPrefill, batch, 0), &report);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(session_->work().clauses_waiting, 1);
}

TEST_P(SessionTest, ASessionWithNothingToDoIsPassedOver) {
  for (Stage stage : {Stage::kPrefill, Stage::kGenerate, Stage::kDecode}) {
    Step(model_.get(), stage, {session_.get()});
  }
  EXPECT_TRUE(session_->Take().samples.empty());
  PushClause(0);
  EXPECT_FALSE(Finish(model_.get(), session_.get()).empty());
}

TEST_P(SessionTest, AClauseOfMinutesFailsAlone) {
  GoldenCase::Clause endless = golden_.clauses[0];
  for (int i = 0; i < 40000; ++i) {
    endless.phones.phones.push_back(2);
    endless.phones.flags.push_back({});
  }
  ASSERT_TRUE(session_->Push(PreparedOf(endless)).ok());
  auto neighbour = Open();
  ASSERT_TRUE(neighbour->Push(PreparedOf(golden_.clauses[0])).ok());
  StepReport report;
  std::vector<Session*> batch = {session_.get(), neighbour.get()};
  ASSERT_TRUE(model_->Wait(model_->Submit(Stage::kPrefill, batch, 0), &report).ok());
  EXPECT_EQ(DetailOf(report.session_status[0]).reason, "CLAUSE_TOO_LONG");
  EXPECT_TRUE(report.session_status[1].ok());
}

TEST_P(SessionTest, UnspeakableTextIsNotAClause) {
  auto prepared = model_->Prepare({"..."});
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_EQ(*prepared, nullptr);
}

INSTANTIATE_TEST_SUITE_P(On, SessionTest, AllEngines(), NameOfEngine);

}  // namespace
}  // namespace firstbyte::aligned_mel

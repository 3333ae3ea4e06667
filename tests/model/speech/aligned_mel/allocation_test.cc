// No step of a warm voice takes memory: an allocation under load waits for other threads' locks and
// for the kernel's pages, which listeners would hear.
#include "gtest/gtest.h"
#include "tests/model/counted_memory.h"
#include "tests/model/speech/aligned_mel/voice_fixture.h"

namespace firstbyte::aligned_mel {
namespace {

class AllocationTest : public VoiceTest {
 protected:
  static constexpr int kStreams = 8;

  void SetUp() override {
    VoiceTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    golden_ = LoadGolden("two_clauses");
    model_ = NewModel();
    for (int i = 0; i < kStreams; ++i) {
      auto session = model_->Open({.seed = static_cast<uint64_t>(i)});
      ASSERT_TRUE(session.ok()) << session.status();
      Push(session->get());
      raw_.push_back(session->get());
      sessions_.push_back(*std::move(session));
    }
  }

  void Push(Session* session) {
    ASSERT_TRUE(session->Push(PreparedOf(golden_.clauses[0])).ok());
    ASSERT_TRUE(session->Push(PreparedOf(golden_.clauses[1])).ok());
  }

  // Allocations of one Submit and Wait. What was made is taken, as the lane does.
  int Allocations(Stage stage, int frames) {
    absl::Status status;
    const int taken = AllocationsOf(
        [&] { status = model_->Wait(model_->Submit(stage, raw_, frames), &report_); });
    EXPECT_TRUE(status.ok()) << status;
    for (Session* session : raw_) session->Take();
    return taken;
  }

  GoldenCase golden_;
  std::unique_ptr<Model> model_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<Session*> raw_;
  StepReport report_;
};

TEST_P(AllocationTest, TheHooksSeeWhatLibTorchTakes) {
  // Its memory, and the object that owns it.
  EXPECT_GE(AllocationsOf([] { nn::Tensor tensor({1000}); }), 2);
}

TEST_P(AllocationTest, NoStepAfterTheFirstOfEachStage) {
  Allocations(Stage::kPrefill, 0);
  Allocations(Stage::kGenerate, 0);
  Allocations(Stage::kDecode, 1);
  for (int chunk : {1, 4, 8, 16, 16, 4}) {
    while (raw_[0]->work().decode_frames < chunk) {
      if (!raw_[0]->work().generate) {
        EXPECT_EQ(Allocations(Stage::kPrefill, 0), 0);
      }
      EXPECT_EQ(Allocations(Stage::kGenerate, 0), 0);
    }
    EXPECT_EQ(Allocations(Stage::kDecode, chunk), 0) << "chunk of " << chunk << " frames";
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, AllocationTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::aligned_mel

// No step of a warm world takes memory, as none of a voice does, but for what leaves with each
// block: its pictures and its sound.
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "tests/model/counted_memory.h"
#include "tests/model/world/state_dit/world_fixture.h"

namespace firstbyte::state_dit {
namespace {

class AllocationTest : public WorldTest {
 protected:
  static constexpr int kPlayers = 4;

  void SetUp() override {
    WorldTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    model_ = NewModel(world_);
    for (int i = 0; i < kPlayers; ++i) {
      auto session =
          model_->Open({.seed = static_cast<uint64_t>(i), .scene = PreparedScene(*model_)});
      ASSERT_TRUE(session.ok()) << session.status();
      raw_.push_back(session->get());
      sessions_.push_back(*std::move(session));
    }
  }

  // The most that any step of each stage took until all are at a block boundary.
  std::array<int, kStageCount> MostUntilBoundary() {
    std::array<int, kStageCount> most = {};
    while (raw_[0]->work().any()) {
      const Stage stage = NextStage(raw_[0]->work());
      absl::Status status;
      const int taken =
          AllocationsOf([&] { status = model_->Wait(model_->Submit(stage, raw_, 1), &report_); });
      EXPECT_TRUE(status.ok()) << status;
      int& so_far = most[static_cast<int>(stage)];
      so_far = std::max(so_far, taken);
      for (Session* session : raw_) session->Take();
    }
    return most;
  }

  void PushToAll(Input (*input)(const Model& model)) {
    for (Session* session : raw_) ASSERT_TRUE(session->Push(input(*model_)).ok());
  }

  std::unique_ptr<Model> model_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<Session*> raw_;
  StepReport report_;
};

TEST_P(AllocationTest, OnlyWhatLeavesIsMadeAnew) {
  const auto walk = [](const Model&) -> Input { return BlockActions{.keys = 1}; };
  const auto prompt = [](const Model& model) -> Input { return *model.Prepare({.text = "night"}); };
  MostUntilBoundary();
  for (int block = 0; block < 40; ++block) {
    if (block % 8 == 7) PushToAll(prompt);
    PushToAll(walk);
    const auto [prefill, generate, decode, commit] = MostUntilBoundary();
    if (block < 8) continue;  // the ring fills, a prompt is new for the first time
    EXPECT_EQ(prefill, 0) << block;
    EXPECT_EQ(generate, 0) << block;
    EXPECT_EQ(decode, 2 * kPlayers) << block << ": pictures, sound";
    EXPECT_EQ(commit, 0) << block;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, AllocationTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::state_dit

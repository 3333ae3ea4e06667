#include "model/cuda/gpu_stage.h"

#include "gmock/gmock.h"
#include "tests/model/cuda/tiny_lm.h"

namespace firstbyte::cuda {
namespace {

using testing::ElementsAre;

TEST(BucketsForTest, ArePowersOfTwoAndTheLargestBatch) {
  EXPECT_THAT(BucketsFor(1), ElementsAre(1));
  EXPECT_THAT(BucketsFor(5), ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(BucketsFor(8), ElementsAre(1, 2, 4, 8));
}

class GpuStageTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::string why;
    std::optional<TestDevice> test = OpenTestDevice(GetParam(), &why);
    if (!test) GTEST_SKIP() << why;
    lm_ = std::make_unique<TinyLm>(*std::move(test));
  }

  // Different sessions join every step; the results of one are read after the next was given.
  void Talk(int steps) {
    RandomCase random(3);
    std::vector<std::vector<bool>> said(TinyLm::kSlots);
    std::vector<int32_t> expected_before;
    Ticket before = 0;
    for (int step = 0; step < steps; ++step) {
      std::vector<int32_t> slots =
          random.Slots(random.Between(1, TinyLm::kMaxBatch), TinyLm::kSlots);
      std::erase(slots, -1);
      if (slots.empty()) continue;
      std::vector<TinyLm::Row> rows(slots.size());
      std::vector<int32_t> expected;
      for (size_t i = 0; i < slots.size(); ++i) {
        for (float& x : rows[i]) x = random.Normal();
        expected.push_back(lm_->Expected(rows[i], &said[slots[i]]));
      }
      absl::StatusOr<Ticket> ticket = lm_->Submit(slots, rows);
      ASSERT_TRUE(ticket.ok()) << ticket.status();
      if (before > 0) {
        ASSERT_EQ(*lm_->Wait(before, expected_before.size()), expected_before);
      }
      before = *ticket;
      expected_before = expected;
    }
    EXPECT_EQ(*lm_->Wait(before, expected_before.size()), expected_before);
  }

  std::unique_ptr<TinyLm> lm_;
};

TEST_P(GpuStageTest, SaysWhatTheHostWouldByGraphs) {
  ASSERT_TRUE(lm_->Open(GraphMode::kGraphs).ok());
  EXPECT_EQ(lm_->bodies(), 4) << "one for a bucket";
  Talk(40);
  EXPECT_EQ(lm_->bodies(), 4) << "recorded once";
}

TEST_P(GpuStageTest, SaysTheSameWithoutGraphs) {
  ASSERT_TRUE(lm_->Open(GraphMode::kEager).ok());
  Talk(40);
  EXPECT_GT(lm_->bodies(), 30);
}

TEST_P(GpuStageTest, WhoWasInABucketBeforeIsNotStepped) {
  ASSERT_TRUE(lm_->Open(GraphMode::kGraphs).ok());
  RandomCase random(11);
  TinyLm::Row row;
  for (float& x : row) x = random.Normal();
  std::vector<std::vector<bool>> said(TinyLm::kSlots);
  const auto check = [&](const std::vector<int32_t>& slots) {
    std::vector<int32_t> expected;
    for (int32_t slot : slots) expected.push_back(lm_->Expected(row, &said[slot]));
    const auto ticket = lm_->Submit(slots, std::vector<TinyLm::Row>(slots.size(), row));
    ASSERT_TRUE(ticket.ok()) << ticket.status();
    EXPECT_EQ(*lm_->Wait(*ticket, slots.size()), expected);
  };
  for (int step = 0; step < 4; ++step) {
    check({0, 1, 2, 3, 4});
    check({5, 1, 2, 3, 4});
    check({0, 1, 2});  // in a bucket of four, whose last row was 3's
  }
}

TEST_P(GpuStageTest, TwoStepsAtMostAreUnderWay) {
  ASSERT_TRUE(lm_->Open(GraphMode::kGraphs).ok());
  const absl::StatusOr<Ticket> first = lm_->Submit({0}, {TinyLm::Row{1}});
  const absl::StatusOr<Ticket> second = lm_->Submit({0}, {TinyLm::Row{1}});
  EXPECT_EQ(lm_->Submit({0}, {TinyLm::Row{1}}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(lm_->Wait(*second, 1).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(lm_->Wait(*first, 1).ok());
  EXPECT_EQ(lm_->Wait(*first, 1).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(lm_->Submit({0}, {TinyLm::Row{1}}).ok());
}

TEST_P(GpuStageTest, ABatchOfAnotherSizeIsRefused) {
  ASSERT_TRUE(lm_->Open(GraphMode::kGraphs).ok());
  EXPECT_FALSE(lm_->stage()->Submit({}).ok());
  EXPECT_FALSE(lm_->stage()->Submit(std::vector<int32_t>(TinyLm::kMaxBatch + 1)).ok());
  Talk(3);
}

TEST_P(GpuStageTest, ABodyThatFailsLeavesNothingRecording) {
  lm_->FailBody(absl::InternalError("no such kernel"));
  EXPECT_EQ(lm_->Open(GraphMode::kGraphs).message(), "no such kernel");
  lm_->FailBody(absl::OkStatus());
  ASSERT_TRUE(lm_->Open(GraphMode::kGraphs).ok());
  Talk(3);
}

TEST_P(GpuStageTest, NothingButWorkIsTakenWhileAGraphIsRecorded) {
  Gpu& gpu = lm_->gpu();
  const PluginTable& plugin = gpu.plugin();
  const auto code = [&](auto... call) { return gpu.Call(call...).code(); };
  absl::StatusOr<OwnedEvent> event = gpu.NewEvent();
  EXPECT_EQ(gpu.EndGraph().status().code(), absl::StatusCode::kInternal);
  ASSERT_TRUE(gpu.Call(plugin.begin_graph, Queue::kSteps).ok());
  EXPECT_EQ(code(plugin.begin_graph, Queue::kSteps), absl::StatusCode::kInternal);
  EXPECT_EQ(code(plugin.wait), absl::StatusCode::kInternal);
  EXPECT_EQ(code(plugin.wait_event, event->get()), absl::StatusCode::kInternal);
  EXPECT_EQ(code(plugin.mark, Queue::kMedia, event->get()), absl::StatusCode::kInternal);
  EXPECT_EQ(gpu.NewArray<char>(1).status().code(), absl::StatusCode::kInternal);
  const AdvanceStep nobody = {};
  EXPECT_EQ(code(plugin.advance, Queue::kMedia, &nobody), absl::StatusCode::kInternal);
  EXPECT_EQ(code(plugin.advance, Queue::kSteps, &nobody), absl::StatusCode::kOk);
  EXPECT_TRUE(gpu.EndGraph().ok());
  EXPECT_TRUE(gpu.Call(plugin.wait).ok());
}

INSTANTIATE_TEST_SUITE_P(On, GpuStageTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda

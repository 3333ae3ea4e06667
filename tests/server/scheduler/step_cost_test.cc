#include "server/scheduler/step_cost.h"

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

constexpr Stage kStage = Stage::kGenerate;

absl::Duration Us(double us) { return absl::Microseconds(1) * us; }

// Within `percent` of `us` microseconds.
testing::Matcher<absl::Duration> Near(double us, double percent) {
  return testing::AllOf(testing::Ge(Us(us * (1 - percent / 100))),
                        testing::Le(Us(us * (1 + percent / 100))));
}

TEST(StepCost, LineThroughTwoMeasurements) {
  StepCosts costs;
  costs.Set(0, Stage::kDecode, 4, FitCost(1, absl::Milliseconds(2), 5, absl::Milliseconds(6)));
  EXPECT_EQ(costs.Predict(0, Stage::kDecode, 4, 9), absl::Milliseconds(10));
  EXPECT_EQ(costs.LargestBatch(0, Stage::kDecode, 4, absl::Milliseconds(4), 32), 3);
  EXPECT_EQ(costs.LargestBatch(0, Stage::kDecode, 4, absl::Microseconds(1), 32), 1);
  EXPECT_EQ(costs.LargestBatch(0, Stage::kGenerate, 0, absl::Milliseconds(1), 7), 7);  // unknown
}

TEST(StepCost, NoiseNeverMakesANegativeSlope) {
  LinearCost cost = FitCost(1, absl::Milliseconds(2), 8, absl::Milliseconds(1));
  EXPECT_EQ(cost.per_session, absl::ZeroDuration());
}

struct StepCostsTest : testing::Test {
  StepCostsTest() { costs.Set(0, kStage, 0, {.fixed = Us(500), .per_session = Us(100)}); }

  absl::Duration Predict(int n) const { return costs.Predict(0, kStage, 0, n); }
  void Observe(int n, double us) { costs.Observe(0, kStage, 0, n, Us(us)); }

  StepCosts costs;
};

TEST_F(StepCostsTest, PredictsAsWarmUpFoundUntilStepsSayOtherwise) {
  EXPECT_EQ(Predict(1), Us(600));
  for (int i = 0; i < 1000; ++i) Observe(4, 900);
  EXPECT_THAT(Predict(1), Near(600, 2));
  EXPECT_THAT(Predict(20), Near(2500, 2));
}

TEST_F(StepCostsTest, FollowsALaneThatBecomesSlower) {
  for (int i = 0; i < 300; ++i) Observe(1 + i % 8, 2 * (500 + 100.0 * (1 + i % 8)));
  EXPECT_THAT(Predict(1), Near(1200, 3));
  EXPECT_THAT(Predict(30), Near(7000, 3));
}

TEST_F(StepCostsTest, BatchesOfOneSizeScaleTheWholeLine) {
  for (int i = 0; i < 300; ++i) Observe(4, 1800);
  EXPECT_THAT(Predict(4), Near(1800, 2));
  EXPECT_THAT(Predict(16), Near(4200, 5)) << "not 1800 and twelve times what a session cost before";
}

TEST_F(StepCostsTest, FindsAnotherSlope) {
  for (int i = 0; i < 2000; ++i) Observe(1 + i % 20, 200 + 300.0 * (1 + i % 20));
  EXPECT_THAT(Predict(1), Near(500, 10));
  EXPECT_THAT(Predict(40), Near(12200, 5));
}

TEST_F(StepCostsTest, OneStalledStepChangesLittle) {
  for (int i = 0; i < 200; ++i) Observe(1 + i % 8, 500 + 100.0 * (1 + i % 8));
  Observe(3, 1e6);
  EXPECT_THAT(Predict(3), Near(800, 6));
}

TEST_F(StepCostsTest, CostIsNeverNegativeAndNeverFallsWithTheBatch) {
  std::mt19937 random(7);
  for (int i = 0; i < 5000; ++i) {
    Observe(1 + static_cast<int>(random() % 40), static_cast<double>(random() % 20000));
    ASSERT_GE(Predict(1), absl::ZeroDuration());
    ASSERT_GE(Predict(100), Predict(1));
  }
}

TEST_F(StepCostsTest, WhatWasNeverMeasuredIsLearned) {
  EXPECT_EQ(costs.Predict(1, kStage, 0, 5), absl::ZeroDuration());
  for (int i = 0; i < 200; ++i) costs.Observe(1, kStage, 0, 1 + i % 4, Us(100 + 50 * (1 + i % 4)));
  EXPECT_THAT(costs.Predict(1, kStage, 0, 2), Near(200, 10));
}

TEST_F(StepCostsTest, LargestBatchKeepsTheLimit) {
  EXPECT_EQ(costs.LargestBatch(0, kStage, 0, Us(1000), 32), 5);
  EXPECT_EQ(costs.LargestBatch(0, kStage, 0, Us(10), 32), 1) << "something must run";
  EXPECT_EQ(costs.LargestBatch(0, kStage, 0, absl::Seconds(1), 32), 32);
}

}  // namespace
}  // namespace firstbyte

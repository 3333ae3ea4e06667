#include "client/loadgen/runner.h"

#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "client/loadgen/validity.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Ends each call at once, in the thread that starts it, with the next of `statuses` (then OK).
class FakeCaller : public Caller {
 public:
  void Start(const CallPlan& plan, std::function<void(CallRecord)> done) override {
    plans_.push_back(plan);
    CallRecord record{.id = plan.id, .stream = plan.stream, .scheduled = plan.scheduled};
    record.start = record.end = Clock::Steady().Now();
    for (const auto& [after, media] : arrivals_) {
      record.end = record.start + after;
      record.arrivals.push_back({record.end, media});
    }
    if (!statuses_.empty()) {
      record.status = statuses_.front();
      statuses_.erase(statuses_.begin());
    }
    if (hang_) {
      hanging_.emplace_back(record, std::move(done));
    } else {
      done(record);
    }
  }
  void CancelAll() override {
    for (auto& [record, done] : std::exchange(hanging_, {})) {
      record.status = absl::CancelledError();
      record.abandoned = true;
      record.end = Clock::Steady().Now();
      done(record);
    }
  }

  std::vector<CallPlan> plans_;
  std::vector<absl::Status> statuses_;
  bool hang_ = false;
  std::vector<std::pair<absl::Duration, absl::Duration>> arrivals_;  // since the start; media

 private:
  std::vector<std::pair<CallRecord, std::function<void(CallRecord)>>> hanging_;
};

class RunnerTest : public testing::Test {
 protected:
  RunnerTest() { spec_.texts = {"One.", "Two.", "Three."}; }
  Tally Run() { return RunLoad(options_, Workload(spec_, 1), &caller_, callbacks_); }

  LoadOptions options_{.level = {LoadMode::kConcurrency, 2},
                       .duration = absl::Hours(1),
                       .max_calls = 10,
                       .warmup = absl::ZeroDuration()};
  WorkloadSpec spec_;
  FakeCaller caller_;
  RunCallbacks callbacks_;
};

TEST_F(RunnerTest, AClosedLoopKeepsItsStreamsBusyAndEndsInTime) {
  Tally tally = Run();
  EXPECT_GE(tally.calls, 10);
  EXPECT_LE(tally.calls, 12);
  EXPECT_EQ(caller_.plans_[0].stream + caller_.plans_[1].stream, 1);
}

TEST_F(RunnerTest, ATraceIsPlayedAndThenTheRunEnds) {
  options_.level = {LoadMode::kQps, 0};
  options_.arrival = ArrivalKind::kTrace;
  options_.trace = {absl::ZeroDuration(), absl::Milliseconds(1), absl::Milliseconds(1)};
  options_.max_calls = 0;
  Tally tally = Run();
  EXPECT_EQ(tally.calls, 3);
  EXPECT_TRUE(tally.rules.from_scheduled);
  ASSERT_EQ(caller_.plans_.size(), 3u);
  EXPECT_EQ(caller_.plans_[1].scheduled - caller_.plans_[0].scheduled, absl::Milliseconds(1));
  EXPECT_EQ(caller_.plans_[2].scheduled, caller_.plans_[1].scheduled);
}

TEST_F(RunnerTest, AServerThatComesBackMakesTheRunInvalid) {
  caller_.statuses_ = {absl::OkStatus(), absl::UnavailableError("Socket closed")};
  options_.level.amount = 1;
  Tally tally = Run();
  EXPECT_TRUE(tally.server_came_back);
  EXPECT_FALSE(tally.server_gone);
  EXPECT_THAT(WhyInvalid(tally), testing::Contains(HasSubstr("restarted during the run")));
}

TEST_F(RunnerTest, AServerThatDrainsSaysSoItselfAndIsNotGone) {
  caller_.statuses_ = {Error(absl::StatusCode::kUnavailable,
                             {.reason = "DRAINING", .retry_after = absl::ZeroDuration()}, "bye")};
  options_.level.amount = 1;
  Tally tally = Run();
  EXPECT_EQ(tally.lost_connections, 0);
  EXPECT_EQ(tally.rejected, 1);
}

TEST_F(RunnerTest, AServerThatIsGoneEndsTheRun) {
  caller_.statuses_.assign(10'000, absl::UnavailableError("connection refused"));
  options_.max_calls = 0;
  Tally tally = Run();  // takes two seconds, not an hour
  EXPECT_TRUE(tally.server_gone);
  EXPECT_THAT(WhyInvalid(tally), testing::Contains("the server went away during the run"));
}

TEST_F(RunnerTest, WhatDoesNotEndIsCancelledAfterTheDrainTimeout) {
  caller_.hang_ = true;
  options_.duration = options_.drain_timeout = absl::Milliseconds(1);
  Tally tally = Run();
  EXPECT_EQ(tally.calls, 2);
  EXPECT_EQ(tally.errors.at("DRAIN_TIMEOUT"), 2);
}

TEST_F(RunnerTest, ARunGoesOnUntilEnoughWasMeasured) {
  options_.duration = absl::Milliseconds(1);
  options_.max_calls = 0;
  options_.min_calls = 25;
  options_.level = {LoadMode::kQps, 2000};
  options_.arrival = ArrivalKind::kConstant;
  EXPECT_GE(Run().calls, 25);
}

TEST_F(RunnerTest, RatesAreOfTheMeasuredTimeWhateverDrainsAfterIt) {
  options_.level = {LoadMode::kQps, 0};
  options_.arrival = ArrivalKind::kTrace;
  options_.trace = {absl::ZeroDuration()};
  options_.max_calls = 0;
  options_.duration = absl::Milliseconds(100);
  // Half of the media comes in time, half while draining.
  caller_.arrivals_ = {{absl::ZeroDuration(), absl::Seconds(2)},
                       {absl::Hours(1), absl::Seconds(2)}};
  Tally tally = Run();
  EXPECT_EQ(tally.audio_seconds, 4);
  EXPECT_EQ(tally.audio_seconds_in_time, 2);
  EXPECT_NEAR(tally.wall_seconds, 0.1, 1e-9);
  EXPECT_NEAR(tally.aggregate_rtf(), 0.05, 1e-9);
}

TEST_F(RunnerTest, EachMeasuredCallIsTold) {
  std::vector<int64_t> ids;
  callbacks_.on_record = [&](const CallRecord& record, absl::Time) { ids.push_back(record.id); };
  options_.level.amount = 1;
  options_.max_calls = 3;
  Run();
  EXPECT_THAT(ids, ElementsAre(0, 1, 2));
}

TEST_F(RunnerTest, TheWarmUpIsNotMeasured) {
  options_.warmup = absl::Milliseconds(5);
  options_.max_calls = 1;
  options_.level.amount = 1;
  Tally tally = Run();
  EXPECT_EQ(tally.calls, 1);
  EXPECT_GT(caller_.plans_.size(), 1u);
}

}  // namespace
}  // namespace firstbyte

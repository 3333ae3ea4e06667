#include "server/scheduler/load.h"

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using absl::Milliseconds;

// A frame of 40 ms: 2 ms a batch and 1 ms a session; a start: 3 ms a batch and 2 ms a session.
SessionCost Voice() {
  return {.frame = {.fixed = Milliseconds(2), .per_session = Milliseconds(1)},
          .period = Milliseconds(40),
          .start_up = {.fixed = Milliseconds(3), .per_session = Milliseconds(2)},
          .batch = 4};
}

// A block of 50 ms takes 10 ms.
SessionCost World() {
  return {.frame = {.per_session = Milliseconds(10)},
          .period = Milliseconds(50),
          .start_up = {.per_session = Milliseconds(20)}};
}

TEST(Load, FixedPartIsPaidOnceABatch) {
  EXPECT_DOUBLE_EQ(LoadOf(Voice(), 0), 0);
  EXPECT_DOUBLE_EQ(LoadOf(Voice(), 1), (2 + 1) / 40.0);
  EXPECT_DOUBLE_EQ(LoadOf(Voice(), 4), (2 + 4) / 40.0);
  EXPECT_DOUBLE_EQ(LoadOf(Voice(), 8), (2 * 2 + 8) / 40.0);
}

TEST(Load, ASlowSessionIsAPartOfOne) { EXPECT_DOUBLE_EQ(LoadOf(Voice(), 0.25), 0.75 / 40); }

TEST(Load, SumsOverModels) {
  LaneLoad lane(2);
  lane.SetCost(0, Voice());
  lane.SetCost(1, World());
  lane.Add({0, 1}, absl::UnixEpoch());
  const uint64_t start = lane.Add({1, 0.5}, absl::UnixEpoch());
  EXPECT_DOUBLE_EQ(lane.load(), 3 / 40.0 + 5 / 50.0);
  EXPECT_DOUBLE_EQ(lane.LoadWith({0, 1}), 4 / 40.0 + 5 / 50.0);
  EXPECT_EQ(lane.sessions(), 2);
  lane.Remove({1, 0.5}, start);
  EXPECT_DOUBLE_EQ(lane.load(), 3 / 40.0);
  EXPECT_EQ(lane.sessions(1), 0);
}

TEST(Load, FollowsWhatStepsReallyTake) {
  LaneLoad lane(1);
  lane.SetCost(0, Voice());
  lane.Add({0, 1}, absl::UnixEpoch());
  for (int i = 0; i < 10; ++i) lane.ObserveStep(Milliseconds(3), Milliseconds(6));
  EXPECT_DOUBLE_EQ(lane.load(), 2 * 3 / 40.0);
  EXPECT_EQ(lane.PlanTtfb(0, Milliseconds(8), absl::UnixEpoch()),
            Milliseconds(8 + 2 * (3 + 2 * 2)));
  // The newest 64 count for most: a machine that is free again is soon known to be.
  for (int i = 0; i < 1000; ++i) lane.ObserveStep(Milliseconds(3), Milliseconds(3));
  EXPECT_NEAR(lane.load(), 3 / 40.0, 1e-6);
}

TEST(Load, EncodersCountAtThePaceOfTheirSession) {
  LaneLoad lane(1);
  lane.SetCost(0, Voice());
  const SessionLoad opus{.model = 0, .pace = 0.5, .encoding = 0.25};
  EXPECT_DOUBLE_EQ(lane.LoadWith(opus), 1.5 / 40 + 0.125);
  const uint64_t start = lane.Add(opus, absl::UnixEpoch());
  EXPECT_DOUBLE_EQ(lane.load(), 1.5 / 40 + 0.125);
  lane.Remove(opus, start);
  EXPECT_DOUBLE_EQ(lane.load(), 0);
}

TEST(Load, AStepThatWaitsForEncodersIsNotASlowMachine) {
  LaneLoad lane(1);
  lane.SetCost(0, Voice());
  lane.Add({.encoding = 0.25}, absl::UnixEpoch());
  for (int i = 0; i < 10; ++i) lane.ObserveStep(Milliseconds(3), Milliseconds(4));
  EXPECT_DOUBLE_EQ(lane.load(), 3 / 40.0 + 0.25);
  // What is slow beyond that is slow for encoders as well.
  for (int i = 0; i < 1000; ++i) lane.ObserveStep(Milliseconds(3), Milliseconds(8));
  EXPECT_NEAR(lane.load(), 2 * (3 / 40.0 + 0.25), 1e-6);
}

TEST(Load, PredictsAllThatStartTogether) {
  LaneLoad lane(2);
  lane.SetCost(0, Voice());
  lane.SetCost(1, World());
  const absl::Time now = absl::UnixEpoch();
  EXPECT_EQ(lane.PlanTtfb(0, Milliseconds(8), now), Milliseconds(8 + 3 + 2));
  const uint64_t first = lane.Add({0, 1}, now);
  lane.Add({1, 1}, now);
  EXPECT_EQ(lane.PlanTtfb(0, Milliseconds(8), now), Milliseconds(8 + 3 + 2 * 2 + 20));
  lane.Started(first);
  EXPECT_EQ(lane.PlanTtfb(0, Milliseconds(8), now), Milliseconds(8 + 3 + 2 + 20));
}

TEST(Load, CountsThoseWhoCatchUpAndVoicesThatStart) {
  LaneLoad lane(2);
  lane.SetCost(0, Voice());
  lane.SetCost(1, World());
  EXPECT_DOUBLE_EQ(lane.CatchingUpWith(0), 3 / 40.0);
  const uint64_t voice = lane.Add({.model = 0, .catches_up = true}, absl::UnixEpoch());
  lane.Add({.model = 1}, absl::UnixEpoch());
  EXPECT_DOUBLE_EQ(lane.CatchingUpWith(0), 4 / 40.0);
  lane.Started(voice);
  EXPECT_DOUBLE_EQ(lane.CatchingUpWith(0), 3 / 40.0);
  lane.ObserveCatchingUp({2, 0});
  EXPECT_DOUBLE_EQ(lane.CatchingUpWith(0), 5 / 40.0);
  EXPECT_EQ(lane.catching_up(), 2);
  lane.ObserveStep(Milliseconds(3), Milliseconds(6));
  EXPECT_DOUBLE_EQ(lane.CatchingUpWith(0), 2 * 5 / 40.0);
}

LaneLoad Busy() {
  LaneLoad lane(1);
  lane.SetCost(0, Voice());
  for (int i = 0; i < 8; ++i) lane.Add({0, 1}, absl::UnixEpoch());  // 0.3 of its time
  return lane;
}

TEST(Load, LatenessIsAMeanOfRecentStartsAndForgets) {
  LaneLoad lane = Busy();
  const absl::Time now = absl::UnixEpoch();
  EXPECT_EQ(lane.Lateness(now), 1);
  lane.ObserveStart(Milliseconds(10), Milliseconds(1), now);
  EXPECT_EQ(lane.Lateness(now), 1) << "sooner than planned is no promise for the next one";
  lane.ObserveStart(Milliseconds(10), Milliseconds(50), now);
  EXPECT_EQ(lane.Lateness(now), 1 + 2 * 4 / 8.0) << "an eighth of four times too much, twice";
  EXPECT_EQ(lane.Lateness(now + Milliseconds(250)), 1.5);
  for (int i = 0; i < 100; ++i) lane.ObserveStart(Milliseconds(10), Milliseconds(50), now);
  EXPECT_NEAR(lane.Lateness(now), 1 + 2 * 4, 1e-3);
  for (int i = 0; i < 8; ++i) lane.ObserveStart(Milliseconds(10), Milliseconds(9), now);
  EXPECT_LT(lane.Lateness(now), 1 + 2 * 4 / 2.0) << "those in time count as well";
  EXPECT_LT(lane.Lateness(now + absl::Seconds(60)), 1.001);
}

TEST(Load, OneStalledStartDoesNotShutTheDoor) {
  LaneLoad lane = Busy();
  const absl::Time now = absl::UnixEpoch();
  lane.ObserveStart(Milliseconds(9), absl::Hours(1), now);
  EXPECT_LE(Milliseconds(9) * lane.Lateness(now), Milliseconds(50));
  lane.ObserveStart(absl::ZeroDuration(), absl::Hours(1), now);
  EXPECT_LE(Milliseconds(9) * lane.Lateness(now), Milliseconds(50)) << "nothing was planned";
}

TEST(Load, StartsOnALaneWithHardlyAnyLoadAreNotLateBecauseOfIt) {
  LaneLoad lane(1);
  lane.SetCost(0, Voice());
  lane.Add({0, 1}, absl::UnixEpoch());
  for (int i = 0; i < 100; ++i) {
    lane.ObserveStart(Milliseconds(10), absl::Seconds(1), absl::UnixEpoch());
  }
  EXPECT_EQ(lane.Lateness(absl::UnixEpoch()), 1);
}

TEST(Load, AStreamThatSaysNothingDelaysNobodyForLong) {
  LaneLoad lane(1);
  lane.SetCost(0, Voice());
  lane.Add({0, 1}, absl::UnixEpoch());
  const absl::Time later = absl::UnixEpoch() + absl::Seconds(2);
  EXPECT_EQ(lane.PlanTtfb(0, Milliseconds(8), later), Milliseconds(8 + 3 + 2));
  EXPECT_FALSE(lane.starting());
  EXPECT_EQ(lane.sessions(), 1) << "it keeps its place";
}

}  // namespace
}  // namespace firstbyte

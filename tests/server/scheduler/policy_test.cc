#include "server/scheduler/policy.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using testing::ElementsAre;

constexpr absl::Duration kFrame = absl::Milliseconds(40);
const absl::Time kNow = absl::UnixEpoch() + absl::Seconds(100);

SessionView Speaking(absl::Duration lead) {
  return {.work = {.generate = true},
          .ready = kNow - absl::Seconds(2),
          .lead = lead,
          .max_lead = absl::Seconds(4),
          .frame_period = kFrame,
          .heard = true,
          .room_frames = 16};
}

SessionView Arriving(absl::Duration ago) {
  return {.work = {.prefill = true},
          .ready = kNow - ago,
          .max_lead = absl::Seconds(4),
          .frame_period = kFrame,
          .room_frames = 16};
}

std::optional<Quantum> Choose(const std::vector<SessionView>& views, const StepCosts& costs = {},
                              int max_batch = 32) {
  return ChooseQuantum(views, {max_batch, max_batch}, costs, {}, kNow);
}

TEST(Policy, NothingToDoIsNoQuantum) {
  EXPECT_EQ(Choose({}), std::nullopt);
  SessionView idle = Speaking(absl::Seconds(1));
  idle.work = {};
  EXPECT_EQ(Choose({idle}), std::nullopt);
}

TEST(Policy, NewcomerGoesBeforeStreamsThatAreAhead) {
  auto quantum = Choose({Speaking(absl::Seconds(1)), Arriving(absl::Milliseconds(1))});
  ASSERT_TRUE(quantum);
  EXPECT_EQ(quantum->stage, Stage::kPrefill);
  EXPECT_THAT(quantum->sessions, ElementsAre(1));
}

TEST(Policy, StreamAboutToRunDryGoesBeforeNewcomer) {
  auto quantum = Choose({Arriving(absl::Milliseconds(1)), Speaking(absl::Milliseconds(30))});
  ASSERT_TRUE(quantum);
  EXPECT_EQ(quantum->stage, Stage::kGenerate);
  EXPECT_THAT(quantum->sessions, ElementsAre(1));
}

TEST(Policy, BatchFillsByDeadlineUpToTheCap) {
  std::vector<SessionView> views = {Speaking(absl::Milliseconds(300)),
                                    Speaking(absl::Milliseconds(100)),
                                    Speaking(absl::Milliseconds(200))};
  EXPECT_THAT(Choose(views)->sessions, ElementsAre(1, 2, 0));
  EXPECT_THAT(Choose(views, {}, /*max_batch=*/2)->sessions, ElementsAre(1, 2));
}

TEST(Policy, BatchIsCappedByPredictedCost) {
  StepCosts costs;
  costs.Set(0, Stage::kGenerate, 0,
            {.fixed = absl::Milliseconds(2), .per_session = absl::Milliseconds(3)});
  std::vector<SessionView> views(5, Speaking(absl::Milliseconds(100)));
  EXPECT_EQ(Choose(views, costs)->sessions.size(), 2u);  // 2 + 2 x 3 = 8 ms
}

TEST(Policy, OtherModelsAndStagesDoNotJoin) {
  SessionView other_model = Speaking(absl::Milliseconds(200));
  other_model.model = 1;
  SessionView decoding = Speaking(absl::Milliseconds(200));
  decoding.work = {.decode_frames = 1};
  EXPECT_THAT(Choose({Speaking(absl::Milliseconds(100)), other_model, decoding})->sessions,
              ElementsAre(0));
}

TEST(Policy, FirstFrameIsDecodedAtOnce) {
  SessionView view = Arriving(absl::ZeroDuration());
  view.work = {.generate = true, .decode_frames = 1};
  auto quantum = Choose({view});
  EXPECT_EQ(quantum->stage, Stage::kDecode);
  EXPECT_EQ(quantum->frames, 1);
}

TEST(Policy, ChunksGrowWithLead) {
  EXPECT_EQ(ChunkFrames(absl::ZeroDuration(), kFrame), 1);
  EXPECT_EQ(ChunkFrames(absl::Milliseconds(480), kFrame), 4);
  EXPECT_EQ(ChunkFrames(absl::Milliseconds(960), kFrame), 8);
  EXPECT_EQ(ChunkFrames(absl::Seconds(3), kFrame), 16);
}

TEST(Policy, KeepsFramesForALargerChunkWhileMoreCome) {
  SessionView view = Speaking(absl::Seconds(3));
  view.work.decode_frames = 3;
  EXPECT_EQ(Choose({view})->stage, Stage::kGenerate);
  view.work.generate = false;  // no more come
  EXPECT_EQ(Choose({view})->stage, Stage::kDecode);
}

TEST(Policy, PausesAtMaxLeadAndResumesAWholeChunkLater) {
  SessionView view = Speaking(absl::Seconds(4));
  view.paused = UpdatePaused(view);
  EXPECT_TRUE(view.paused);
  EXPECT_EQ(Choose({view}), std::nullopt);

  view.lead = absl::Seconds(4) - kFrame;  // one frame played: still waits
  EXPECT_TRUE(UpdatePaused(view));
  EXPECT_EQ(TimeToResume(view), 15 * kFrame + absl::Microseconds(1));

  view.lead = absl::Seconds(4) - 16 * kFrame - absl::Microseconds(1);
  EXPECT_FALSE(UpdatePaused(view));
}

TEST(Policy, PausedStreamJoinsAStepThatRunsAnyway) {
  SessionView paused = Speaking(absl::Seconds(4) - 2 * kFrame);
  paused.paused = true;
  EXPECT_THAT(Choose({paused, Speaking(absl::Milliseconds(100))})->sessions, ElementsAre(1, 0));
}

TEST(Policy, FullOutboxStopsDecodingOnly) {
  SessionView view = Speaking(absl::Milliseconds(100));
  view.work.decode_frames = 1;
  view.room_frames = 0;
  EXPECT_EQ(Choose({view}), std::nullopt);
}

}  // namespace
}  // namespace firstbyte

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
  RecentTime recent;
  recent.Enter("");
  return ChooseQuantum(views, {max_batch, max_batch}, costs, recent, {}, kNow);
}

TEST(Policy, AListenerCatchesUpUntilTheLargestChunksBegin) {
  const SessionView view = Speaking(absl::Milliseconds(1919));  // 16 frames of 40 ms, three times
  EXPECT_TRUE(CatchingUp(view));
  SessionView other = view;
  other.lead = absl::Milliseconds(1920);
  EXPECT_FALSE(CatchingUp(other));
  other = view;
  other.max_lead = absl::Seconds(2);
  EXPECT_FALSE(CatchingUp(other)) << "half of what it wants";
  other.lead = absl::Milliseconds(999);
  EXPECT_TRUE(CatchingUp(other));
  other = view;
  other.work = {};
  EXPECT_FALSE(CatchingUp(other)) << "there is no text";
  other = view;
  other.heard = false;
  EXPECT_FALSE(CatchingUp(other)) << "it starts";
  other = view;
  other.world = true;
  EXPECT_FALSE(CatchingUp(other));
  other = view;
  other.work = {.decode_frames = 1};
  other.room_frames = 0;
  EXPECT_FALSE(CatchingUp(other)) << "its client does not read";
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

// ---- Where deadlines do not decide. ----

// Time that went to one stream of `tenant`.
void Spend(RecentTime* recent, int tenant, absl::Duration took, bool starting = false) {
  recent->Spend({{tenant, starting}}, took);
}

struct SharesTest : testing::Test {
  // Views of tenant 0 unless told otherwise.
  std::vector<int> Choose(const std::vector<SessionView>& views, int max_batch = 32) {
    return ChooseQuantum(views, {max_batch}, {}, recent, {}, kNow)->sessions;
  }
  static SessionView Of(int tenant, SessionView view) {
    view.tenant = tenant;
    return view;
  }
  // Its deadline has passed by so much.
  static SessionView Overdue(absl::Duration by) { return Speaking(absl::Milliseconds(20) - by); }

  RecentTime recent;
  int a = recent.Enter("a"), b = recent.Enter("b");
};

TEST_F(SharesTest, AmongDeadlinesThatPassedTheTenantThatHadLessGoesFirst) {
  Spend(&recent, a, absl::Milliseconds(10));
  EXPECT_THAT(Choose({Of(a, Overdue(absl::Seconds(1))), Of(b, Overdue(absl::Milliseconds(1)))}, 1),
              ElementsAre(1));
}

TEST_F(SharesTest, ALaterDeadlineIsNotMadeUpForByHavingHadLess) {
  Spend(&recent, a, absl::Seconds(1));
  EXPECT_THAT(
      Choose({Of(b, Speaking(absl::Milliseconds(100))), Of(a, Speaking(absl::Milliseconds(60)))},
             1),
      ElementsAre(1));
}

TEST_F(SharesTest, OneTenantsStreamsGoByDeadlineHoweverLate) {
  EXPECT_THAT(Choose({Overdue(absl::Milliseconds(1)), Overdue(absl::Seconds(1)),
                      Overdue(absl::Milliseconds(30))}),
              ElementsAre(1, 2, 0));
}

TEST_F(SharesTest, TenantsTakeTurnsInABatchThatIsTooSmallForAll) {
  const SessionView late = Overdue(absl::Seconds(1)), later = Overdue(absl::Seconds(2));
  StepCosts costs;
  costs.Set(0, Stage::kGenerate, 0, {.per_session = absl::Milliseconds(2)});  // four fit
  const std::vector<SessionView> views = {Of(a, later), Of(a, later), Of(a, later),
                                          Of(a, later), Of(b, late),  Of(b, late)};
  EXPECT_THAT(ChooseQuantum(views, {32}, costs, recent, {}, kNow)->sessions,
              testing::UnorderedElementsAre(0, 1, 4, 5));
}

TEST_F(SharesTest, StartersThatHadTheirShareWaitWhileAListenerIsPressed) {
  const SessionView starter = Arriving(absl::Seconds(1)),
                    pressed = Speaking(absl::Milliseconds(60));
  EXPECT_THAT(Choose({starter, pressed}), ElementsAre(0));
  Spend(&recent, a, absl::Milliseconds(20), /*starting=*/true);
  EXPECT_THAT(Choose({starter, pressed}), ElementsAre(1));
  Spend(&recent, a, absl::Milliseconds(30));
  EXPECT_THAT(Choose({starter, pressed}), ElementsAre(0)) << "they are below their share again";
}

TEST_F(SharesTest, StartersHaveAllTheTimeWhileNobodyIsPressed) {
  Spend(&recent, a, absl::Seconds(1), /*starting=*/true);
  EXPECT_THAT(Choose({Arriving(absl::ZeroDuration()), Speaking(absl::Seconds(1))}), ElementsAre(0));
}

}  // namespace
}  // namespace firstbyte

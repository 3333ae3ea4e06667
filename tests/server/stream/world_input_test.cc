#include "server/stream/world_input.h"

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/scripted_world.h"

namespace firstbyte {
namespace {

using testing::ElementsAre;
using Wish = WorldInbox::Wish;

const absl::Time kNow = absl::UnixEpoch() + absl::Seconds(100);

SavedActions Pressed(int64_t sequence, std::initializer_list<int> keys = {}, float dx = 0) {
  SavedActions actions{.sequence = sequence};
  for (int key : keys) actions.actions.keys.set(key);
  actions.actions.pointer_dx = dx;
  return actions;
}

std::vector<int> KeysOf(const BlockActions& actions) {
  std::vector<int> keys;
  for (size_t i = 0; i < actions.keys.size(); ++i) {
    if (actions.keys[i]) keys.push_back(static_cast<int>(i));
  }
  return keys;
}

std::unique_ptr<Prepared> Anything() { return *MakeScriptedWorld()->Prepare({}); }

void PrepareAll(WorldInbox* inbox) {
  while (auto next = inbox->NextToPrepare()) inbox->Prepared(next->id, Anything());
}

class MergingTest : public testing::TestWithParam<Pacing> {};
INSTANTIATE_TEST_SUITE_P(Pacings, MergingTest,
                         testing::Values(Pacing::kRealtime, Pacing::kFreeRun));

TEST_P(MergingTest, MovementAddsUpPressesLatchAndTheNewestIsHeld) {
  WorldInbox inbox(GetParam());
  SavedActions first = Pressed(1, {0, 1}, 0.25F), second = Pressed(2, {1}, 0.5F),
               third = Pressed(3, {2});
  first.actions.scroll = 1;
  third.actions.scroll = -3;
  third.actions.axes = {0.5, 0};
  ASSERT_TRUE(inbox.Add(first, kNow).ok());
  ASSERT_TRUE(inbox.Add(second, kNow + absl::Milliseconds(1)).ok());
  ASSERT_TRUE(inbox.Add(third, kNow + absl::Milliseconds(2)).ok());
  auto boundary = inbox.Take(/*room=*/true, 0);
  ASSERT_TRUE(boundary.block);
  const BlockActions& actions = boundary.actions.actions;
  EXPECT_EQ(actions.pointer_dx, 0.75F);
  EXPECT_EQ(actions.scroll, -2);
  EXPECT_THAT(KeysOf(actions), ElementsAre(0, 1, 2));
  EXPECT_THAT(actions.axes, ElementsAre(0.5, 0));
  EXPECT_EQ(boundary.actions.sequence, 3);
  EXPECT_EQ(boundary.arrivals.size(), 3u);

  // What follows without a word: the newest state, and nothing that happens only once.
  boundary = inbox.Take(true, 1);
  ASSERT_TRUE(boundary.block);
  EXPECT_THAT(KeysOf(boundary.actions.actions), ElementsAre(2));
  EXPECT_EQ(boundary.actions.actions.pointer_dx, 0);
  EXPECT_EQ(boundary.actions.actions.scroll, 0);
  EXPECT_THAT(boundary.actions.actions.axes, ElementsAre(0.5, 0));
  EXPECT_EQ(boundary.actions.sequence, 3);
  EXPECT_TRUE(boundary.arrivals.empty());
}

TEST_P(MergingTest, AnyNumberOfActionsTakesOnePlace) {
  WorldInbox inbox(GetParam());
  for (int i = 1; i <= 10000; ++i) ASSERT_TRUE(inbox.Add(Pressed(i, {}, 1), kNow).ok());
  EXPECT_FALSE(inbox.enough());
  auto boundary = inbox.Take(true, 0);
  EXPECT_LE(boundary.arrivals.size(), 64u);
  EXPECT_LT(boundary.actions.actions.pointer_dx, 2000);  // far over what counts, but finite
}

TEST_P(MergingTest, PauseStopsBlocksAndControlsAreStillHeard) {
  WorldInbox inbox(GetParam());
  ASSERT_TRUE(inbox.Add(WorldControl::kPause).ok());
  auto boundary = inbox.Take(true, 0);
  EXPECT_TRUE(boundary.paused);
  EXPECT_FALSE(boundary.block);
  EXPECT_EQ(inbox.wish(true), Wish::kNothing);
  ASSERT_TRUE(inbox.Add(Pressed(1, {0}), kNow).ok());
  EXPECT_EQ(inbox.wish(true), Wish::kNothing);
  ASSERT_TRUE(inbox.Add(WorldControl::kSnapshot).ok());
  EXPECT_EQ(inbox.wish(true), Wish::kControls);
  EXPECT_TRUE(inbox.Take(true, 0).save);
  ASSERT_TRUE(inbox.Add(WorldControl::kResume).ok());
  EXPECT_EQ(inbox.wish(true), Wish::kControls);
  boundary = inbox.Take(true, 0);
  EXPECT_TRUE(boundary.block);
  EXPECT_THAT(KeysOf(boundary.actions.actions), ElementsAre(0)) << "said during the pause";
}

TEST_P(MergingTest, ResetForgetsMovementButNotWhatIsHeld) {
  WorldInbox inbox(GetParam());
  ASSERT_TRUE(inbox.Add(Pressed(1, {0}, 0.5F), kNow).ok());
  ASSERT_TRUE(inbox.Add(WorldControl::kReset).ok());
  auto boundary = inbox.Take(true, 0);
  ASSERT_EQ(boundary.inputs.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<ResetWorld>(boundary.inputs[0]));
  EXPECT_EQ(boundary.actions.actions.pointer_dx, 0);
  EXPECT_THAT(KeysOf(boundary.actions.actions), ElementsAre(0));
}

TEST_P(MergingTest, CloseComesAfterOneBlockOfWhatIsPending) {
  WorldInbox inbox(GetParam());
  ASSERT_TRUE(inbox.Add(Pressed(1, {0}), kNow).ok());
  ASSERT_TRUE(inbox.Add(WorldControl::kClose).ok());
  EXPECT_EQ(inbox.wish(/*room=*/false), Wish::kNothing) << "waits for room";
  EXPECT_EQ(inbox.wish(true), Wish::kBlock);
  auto boundary = inbox.Take(true, 0);
  EXPECT_TRUE(boundary.block);
  EXPECT_FALSE(boundary.close);
  EXPECT_EQ(inbox.wish(true), Wish::kControls);
  boundary = inbox.Take(true, 1);
  EXPECT_TRUE(boundary.close);
  EXPECT_FALSE(boundary.block);
}

TEST_P(MergingTest, PromptThatIsNotPreparedHoldsNobodyUp) {
  WorldInbox inbox(GetParam());
  ASSERT_TRUE(inbox.Add(SavedPrompt{.text = "night"}).ok());
  ASSERT_TRUE(inbox.Add(Pressed(1, {0}), kNow).ok());
  auto boundary = inbox.Take(true, 0);
  EXPECT_TRUE(boundary.block);
  EXPECT_FALSE(boundary.prompted);
  PrepareAll(&inbox);
  EXPECT_TRUE(inbox.Take(true, 1).prompted);
}

TEST_P(MergingTest, FloodOfPromptsTakesOnePlace) {
  WorldInbox inbox(GetParam());
  for (int i = 1; i <= 1000; ++i) {
    ASSERT_TRUE(inbox.Add(SavedPrompt{.text = "p"}).ok());
    ASSERT_TRUE(inbox.Add(Pressed(i), kNow).ok());
    ASSERT_FALSE(inbox.enough());
  }
  EXPECT_LE(inbox.Pending().size(), 2u);
}

TEST(Lockstep, OneBlockAnActionInOrder) {
  WorldInbox inbox(Pacing::kLockstep);
  EXPECT_EQ(inbox.wish(true), Wish::kNothing);
  ASSERT_TRUE(inbox.Add(Pressed(1, {0}, 1), kNow).ok());
  ASSERT_TRUE(inbox.Add(Pressed(2, {1}, 1), kNow).ok());
  EXPECT_EQ(inbox.wish(/*room=*/false), Wish::kNothing);
  EXPECT_EQ(inbox.wish(true), Wish::kBlock);
  EXPECT_THAT(KeysOf(inbox.Take(true, 0).actions.actions), ElementsAre(0));
  EXPECT_THAT(KeysOf(inbox.Take(true, 1).actions.actions), ElementsAre(1));
  EXPECT_FALSE(inbox.Take(true, 2).block);
}

TEST(Lockstep, ActionsWaitForAPromptBeforeThem) {
  WorldInbox inbox(Pacing::kLockstep);
  ASSERT_TRUE(inbox.Add(SavedPrompt{.text = "night"}).ok());
  ASSERT_TRUE(inbox.Add(Pressed(1), kNow).ok());
  EXPECT_EQ(inbox.wish(true), Wish::kNothing);
  PrepareAll(&inbox);
  EXPECT_EQ(inbox.wish(true), Wish::kControls);
  auto boundary = inbox.Take(true, 0);
  EXPECT_TRUE(boundary.block);
  EXPECT_TRUE(boundary.prompted);
  EXPECT_EQ(boundary.inputs.size(), 2u);
}

TEST(Lockstep, CreditIsSpentByBlocksAndComesBackWithActions) {
  WorldInbox inbox(Pacing::kLockstep);
  SavedActions often = Pressed(1);
  often.repeat = 64;
  ASSERT_TRUE(inbox.Add(often, kNow).ok());
  int blocks = 0;
  while (inbox.wish(true) == Wish::kBlock) blocks += inbox.Take(true, blocks).block;
  EXPECT_EQ(blocks, WorldInbox::kFirstCredit + 1);
  EXPECT_TRUE(inbox.out_of_credit());
  inbox.AddCredit(2);
  while (inbox.wish(true) == Wish::kBlock) blocks += inbox.Take(true, blocks).block;
  EXPECT_EQ(blocks, WorldInbox::kFirstCredit + 3);
  ASSERT_TRUE(inbox.HalfClose().ok());
  while (inbox.wish(true) == Wish::kBlock) blocks += inbox.Take(true, blocks).block;
  EXPECT_EQ(blocks, 64);
  EXPECT_TRUE(inbox.Take(true, blocks).close);
}

TEST(Lockstep, QueueIsBounded) {
  WorldInbox inbox(Pacing::kLockstep);
  for (int i = 1; i <= WorldInbox::kMost; ++i) {
    EXPECT_EQ(inbox.enough(), i > WorldInbox::kEnough);
    ASSERT_TRUE(inbox.Add(Pressed(i), kNow).ok());
  }
  EXPECT_EQ(DetailOf(inbox.Add(Pressed(1000), kNow)).reason, "TOO_MANY_MESSAGES");
}

TEST(Lockstep, TwoSnapshotsAreTwoBoundaries) {
  WorldInbox inbox(Pacing::kLockstep);
  ASSERT_TRUE(inbox.Add(WorldControl::kSnapshot).ok());
  ASSERT_TRUE(inbox.Add(WorldControl::kSnapshot).ok());
  ASSERT_TRUE(inbox.Add(Pressed(1), kNow).ok());
  auto boundary = inbox.Take(true, 0);
  EXPECT_TRUE(boundary.save);
  EXPECT_FALSE(boundary.block);
  boundary = inbox.Take(true, 0);
  EXPECT_TRUE(boundary.save);
  EXPECT_TRUE(boundary.block);
}

TEST(Lockstep, WhatWasNotHeardComesBackFromASave) {
  WorldInbox inbox(Pacing::kLockstep);
  SavedActions often = Pressed(4, {3});
  often.repeat = 3;
  ASSERT_TRUE(inbox.Add(often, kNow).ok());
  ASSERT_TRUE(inbox.Add(WorldControl::kReset).ok());
  ASSERT_TRUE(inbox.Add(SavedPrompt{.text = "night", .apply_at_block = 9}).ok());
  ASSERT_TRUE(inbox.Add(Pressed(5, {1}), kNow).ok());
  ASSERT_TRUE(inbox.Take(true, 0).block);

  SavedWorld world{.held = inbox.newest(), .pending = inbox.Pending()};
  WorldInbox again(Pacing::kLockstep, world, kNow);
  EXPECT_EQ(again.newest().sequence, 5);
  PrepareAll(&again);
  for (int64_t block : {1, 2}) {
    auto boundary = again.Take(true, block);
    ASSERT_TRUE(boundary.block);
    EXPECT_THAT(KeysOf(boundary.actions.actions), ElementsAre(3));
    EXPECT_EQ(boundary.actions.sequence, 4);
  }
  auto boundary = again.Take(true, 3);
  ASSERT_EQ(boundary.inputs.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<ResetWorld>(boundary.inputs[0]));
  EXPECT_EQ(boundary.actions.sequence, 5);
  EXPECT_EQ(again.Pending().size(), 1u) << "the prompt still waits for its block";
}

TEST(SavedInputs, OnesThatCannotBeThisWorldsAreCorrupt) {
  const auto model = MakeScriptedWorld();
  const WorldInfo& world = *model->info().world;
  EXPECT_TRUE(CheckInputs(world, {.held = Pressed(1, {4})}).ok());
  SavedActions no_such_key = Pressed(1, {5}), no_such_axis = Pressed(1), wild = Pressed(1),
               never = Pressed(1);
  no_such_axis.actions.axes = {0, 0, 0};
  wild.actions.pointer_dx = std::numeric_limits<float>::quiet_NaN();
  never.repeat = 0;
  for (const SavedActions& bad : {no_such_key, no_such_axis, wild, never}) {
    EXPECT_TRUE(absl::IsDataLoss(CheckInputs(world, {.held = bad})));
    EXPECT_TRUE(absl::IsDataLoss(CheckInputs(world, {.pending = {bad}})));
  }
  EXPECT_TRUE(absl::IsDataLoss(CheckInputs(world, {.pending = {SavedPrompt{.embedding = {1}}}})));
  EXPECT_TRUE(absl::IsDataLoss(CheckInputs(world, {.next_block = -1})));
}

}  // namespace
}  // namespace firstbyte

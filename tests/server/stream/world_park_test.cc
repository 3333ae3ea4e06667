// Parking, resuming, snapshots, draining: nothing of a session is lost, nothing comes twice.

#include <algorithm>
#include <thread>

#include "tests/server/stream/world_fixture.h"

namespace firstbyte {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class WorldParkTest : public WorldTest {
 protected:
  // The frames that `actions` make from the beginning of a session with `seed`.
  std::vector<std::vector<std::string>> Replay(uint64_t seed,
                                               const std::vector<BlockActions>& actions) {
    ScriptedWorldReplay replay(options_, seed);
    std::vector<std::vector<std::string>> blocks;
    for (const BlockActions& each : actions) blocks.push_back(Frames(replay.Next(each)));
    return blocks;
  }
};

TEST_F(WorldParkTest, ResumedSessionGoesOnWithoutLossOrRepetition) {
  Player before = NewPlayer();
  before.Say(Open(7)).Say(Act(1, {"W"})).Say(Act(2, {"A"}));
  before.ReadBlocks(2);
  before.stream().Cancel();
  EXPECT_TRUE(absl::IsCancelled(before.ReadAll().end->status));
  AwaitParked(before.got().opened->session_id);
  EXPECT_EQ(engine_->admission().usage(0).used, 0) << "a parked session holds no slot";

  Player after = NewPlayer();
  after.Say(Resume(before.got(), 1)).Say(Act(3, {"S"}));
  after.stream().HalfClose();
  WorldTranscript& t = after.ReadAll();
  ASSERT_TRUE(t.end->status.ok()) << t.end->status;
  EXPECT_EQ(t.opened->session_id, before.got().opened->session_id);
  EXPECT_NE(t.opened->token, before.got().opened->token);
  EXPECT_EQ(t.opened->seed, 7u);
  EXPECT_EQ(t.opened->next_block, 2);
  EXPECT_EQ(t.opened->last_action_sequence, 2);
  ASSERT_THAT(t.indices(), ElementsAre(2));
  EXPECT_EQ(t.blocks[0].frames, Replay(7, {Held({0}), Held({1}), Held({2})})[2]);
  EXPECT_EQ(t.blocks[0].presentation_offset, absl::Milliseconds(200));
  ExpectUnharmed();
}

TEST_F(WorldParkTest, BlocksThePlayerMissedAreSentAgain) {
  Player before = NewPlayer();
  before.Say(Open(7)).Say(Act(1, {"W"}, 4));
  before.ReadBlocks(4);
  before.stream().Cancel();
  AwaitParked(before.got().opened->session_id);
  for (int64_t last : {-1, 1, 3}) {
    Player after = NewPlayer();
    OpenWorld open = Resume(before.got(), last);
    open.audio = AudioFormat{.sample_rate_hertz = 0};
    after.Say(open);
    after.ReadBlocks(3 - last);
    const WorldTranscript& t = after.got();
    ASSERT_EQ(static_cast<int64_t>(t.blocks.size()), 3 - last);
    for (size_t i = 0; i < t.blocks.size(); ++i) {
      const int64_t index = last + 1 + static_cast<int64_t>(i);
      EXPECT_EQ(t.blocks[i].index, index);
      EXPECT_EQ(t.blocks[i].frames, before.got().blocks[index].frames);
      EXPECT_EQ(t.blocks[i].applied_action_sequence, 1);
      EXPECT_EQ(t.blocks[i].presentation_offset, before.got().blocks[index].presentation_offset);
    }
    after.ReadOpened();
    after.stream().Cancel();
    after.ReadAll();
    if (!t.audio.empty()) {
      EXPECT_EQ(t.audio[0].start_sample, (last + 1) * 1600);
    }
    AwaitParked(before.got().opened->session_id);
  }
}

TEST_F(WorldParkTest, ActionsNotYetPlayedArePlayedAfterTheResume) {
  Player before = NewPlayer();
  // Without credit for all of it: five blocks are made.
  before.Say(Open(7)).Say(Act(1, {"W"}, 20)).Say(WorldPrompt{.text = "night"}).Say(Act(9, {"A"}));
  before.ReadBlocks(6);
  before.stream().Cancel();
  before.ReadAll();
  AwaitParked(before.got().opened->session_id);

  Player after = NewPlayer();
  after.Say(Resume(before.got(), 5));
  after.stream().HalfClose();
  WorldTranscript& t = after.ReadAll();
  EXPECT_EQ(t.opened->last_action_sequence, 9);
  ASSERT_EQ(t.blocks.size(), 15u);
  ScriptedWorldReplay replay(options_, 7);
  for (int i = 0; i < 20; ++i) {
    const std::vector<std::string> frames = Frames(replay.Next(Held({0})));
    if (i >= 6) {
      EXPECT_EQ(t.blocks[i - 6].frames, frames);
    }
  }
  replay.Prompt({.text = "night"});
  EXPECT_EQ(t.blocks[14].frames, Frames(replay.Next(Held({1}))));
  EXPECT_EQ(t.blocks[14].applied_action_sequence, 9);
}

TEST_F(WorldParkTest, CancelAtAnyMomentLosesAndRepeatsNothing) {
  // However the stream breaks, what the player got and what it gets later is the whole world.
  const int kBlocks = 16;
  const auto whole = Replay(3, std::vector<BlockActions>(kBlocks, Held({0})));
  Player first = NewPlayer();
  first.Say(Open(3)).Say(WorldCredit{kBlocks}).Say(Act(1, {"W"}, kBlocks));
  first.ReadOpened();
  std::vector<WorldBlock> got;
  WorldTranscript last = first.got();
  Player* player = &first;
  std::vector<std::unique_ptr<Player>> others;
  for (int round = 1; got.size() < static_cast<size_t>(kBlocks); ++round) {
    player->ReadBlocks(std::min<size_t>(round % 3, kBlocks - got.size()));
    std::thread canceller([&] { player->stream().Cancel(); });
    player->ReadAll();
    canceller.join();
    for (WorldBlock& block : player->got().blocks) got.push_back(std::move(block));
    AwaitParked(last.opened->session_id);
    others.push_back(std::make_unique<Player>(context_));
    player = others.back().get();
    player->Say(Resume(last, static_cast<int64_t>(got.size()) - 1)).Say(WorldCredit{kBlocks});
    player->ReadOpened();
    ASSERT_TRUE(player->got().opened) << player->got().end->status;
    last = player->got();
  }
  for (int i = 0; i < kBlocks; ++i) {
    EXPECT_EQ(got[i].index, i);
    EXPECT_EQ(got[i].frames, whole[i]);
  }
}

TEST_F(WorldParkTest, BadResumesAreRefusedAndTheSessionKept) {
  Player before = NewPlayer();
  before.Say(Open(7)).Say(Act(1)).Say(Act(2));
  before.ReadBlocks(2);
  before.stream().Cancel();
  before.ReadAll();
  AwaitParked(before.got().opened->session_id);

  auto refused = [&](OpenWorld open) {
    Player player = NewPlayer();
    player.Say(std::move(open));
    EXPECT_FALSE(player.ReadAll().opened);
    return player.reason();
  };
  OpenWorld stranger = Resume(before.got(), 1);
  stranger.tenant = "other";
  EXPECT_EQ(refused(stranger), "SESSION_NOT_FOUND");
  OpenWorld forged = Resume(before.got(), 1);
  std::get<ResumeWorld>(forged.origin).token += "x";
  EXPECT_EQ(refused(forged), "TOKEN_INVALID");
  EXPECT_EQ(refused(Resume(before.got(), 2)), "BLOCKS_GONE") << "it was never made";
  EXPECT_EQ(refused(Resume(before.got(), -2)), "BLOCKS_GONE");
  OpenWorld other_model = Resume(before.got(), 1);
  other_model.model = "another";
  EXPECT_EQ(refused(other_model), "MODEL_MISMATCH");

  Player after = NewPlayer();
  after.Say(Resume(before.got(), 1)).Say(Act(3));
  after.stream().HalfClose();
  EXPECT_THAT(after.ReadAll().indices(), ElementsAre(2));
}

TEST_F(WorldParkTest, ResumeWithoutAFreeSlotKeepsTheSession) {
  Make({.slots = 1});
  Player before = NewPlayer();
  before.Say(Open(7)).Say(Act(1));
  before.ReadBlocks(1);
  before.stream().Cancel();
  before.ReadAll();
  AwaitParked(before.got().opened->session_id);
  Player squatter = NewPlayer();
  squatter.Say(Open());
  squatter.ReadOpened();
  Player refused = NewPlayer();
  refused.Say(Resume(before.got(), 0));
  EXPECT_EQ(refused.ReadAll().reason(), "NO_SLOT");
  squatter.stream().HalfClose();
  squatter.ReadAll();
  AwaitFreeSlots();
  Player after = NewPlayer();
  after.Say(Resume(before.got(), 0)).Say(Act(2));
  after.stream().HalfClose();
  EXPECT_THAT(after.ReadAll().indices(), ElementsAre(1));
}

TEST_F(WorldParkTest, BlocksLongGoneAreOutOfRange) {
  Make({.width = 256, .height = 256});  // 384 KiB a block
  Player before = NewPlayer();
  before.Say(Open(7)).Say(WorldCredit{100}).Say(Act(1, {}, 20));
  before.ReadBlocks(20);
  before.stream().Cancel();
  before.ReadAll();
  AwaitParked(before.got().opened->session_id);
  Player after = NewPlayer();
  after.Say(Resume(before.got(), 3));
  EXPECT_TRUE(absl::IsOutOfRange(after.ReadAll().end->status)) << after.got().end->status;
}

TEST_F(WorldParkTest, TokenTakesOverARunningStream) {
  Player before = NewPlayer();
  before.Say(Open(7)).Say(Act(1, {"W"}));
  before.ReadBlocks(1);
  Player after = NewPlayer();
  after.Say(Resume(before.got(), 0)).Say(Act(2, {"A"}));
  after.stream().HalfClose();
  EXPECT_THAT(after.ReadAll().indices(), ElementsAre(1));
  EXPECT_EQ(before.ReadAll().reason(), "SESSION_TAKEN_OVER");
  EXPECT_TRUE(absl::IsAborted(before.got().end->status));
}

TEST_F(WorldParkTest, OfTwoClientsThatResumeAtOnceOneWins) {
  Player before = NewPlayer();
  before.Say(Open(7)).Say(Act(1));
  before.ReadBlocks(1);
  before.stream().Cancel();
  before.ReadAll();
  AwaitParked(before.got().opened->session_id);
  Player a = NewPlayer(), b = NewPlayer();
  std::thread other([&] { a.Say(Resume(before.got(), 0)).Say(Act(2)); });
  b.Say(Resume(before.got(), 0)).Say(Act(2));
  other.join();
  a.ReadBlocks(1);
  b.ReadBlocks(1);
  const int winners = (a.got().blocks.size() == 1) + (b.got().blocks.size() == 1);
  EXPECT_GE(winners, 1) << a.reason() << " " << b.reason();
  for (Player* player : {&a, &b}) player->stream().Cancel();
  a.ReadAll();
  b.ReadAll();
}

TEST_F(WorldParkTest, SnapshotIsAPlaceToGoOnFromAndTheWorldGoesOnMeanwhile) {
  Player player = NewPlayer();
  player.Say(Open(7)).Say(Act(1, {"W"})).Say(WorldPrompt{.text = "snow", .apply_at_block = 2});
  player.Say(WorldControl::kSnapshot).Say(Act(2, {"A"})).Say(Act(3, {"S"}));
  player.stream().HalfClose();
  WorldTranscript& original = player.ReadAll();
  ASSERT_TRUE(original.end->status.ok()) << original.end->status;
  ASSERT_EQ(original.snapshots.size(), 1u);
  EXPECT_EQ(original.snapshots[0].block, 1);
  EXPECT_EQ(original.snapshots[0].sha256.size(), 32u);
  EXPECT_EQ(original.blocks.size(), 3u);

  OpenWorld fork = Open();
  fork.origin = FromSnapshot{original.snapshots[0].snapshot_id};
  for (int i = 0; i < 2; ++i) {  // as often as one likes
    WorldTranscript t = Run({fork, Act(2, {"A"}), Act(3, {"S"})});
    ASSERT_TRUE(t.end->status.ok()) << t.end->status;
    EXPECT_NE(t.opened->session_id, original.opened->session_id);
    ASSERT_THAT(t.indices(), ElementsAre(1, 2));
    EXPECT_EQ(t.blocks[0].frames, original.blocks[1].frames);
    EXPECT_EQ(t.blocks[1].frames, original.blocks[2].frames) << "the prompt came with it";
  }
}

TEST_F(WorldParkTest, BadSnapshotsAreRefused) {
  OpenWorld open = Open();
  open.origin = FromSnapshot{"no-such-snapshot"};
  EXPECT_EQ(Run({open}).reason(), "SNAPSHOT_NOT_FOUND");

  Player player = NewPlayer();
  player.Say(Open()).Say(Act(1)).Say(WorldControl::kSnapshot);
  player.ReadSnapshots(1);
  open.origin = FromSnapshot{player.got().snapshots[0].snapshot_id};
  open.tenant = "other";
  EXPECT_EQ(Run({open}).reason(), "SNAPSHOT_NOT_FOUND");
  player.stream().HalfClose();
  player.ReadAll();
  ExpectUnharmed();
}

TEST_F(WorldParkTest, SnapshotThatCannotBeStoredEndsTheStreamAndParksTheSession) {
  Make({}, {.max_snapshot_bytes = 16});
  Player player = NewPlayer();
  player.Say(Open(7)).Say(Act(1));
  player.ReadBlocks(1);
  player.Say(WorldControl::kSnapshot);
  EXPECT_EQ(player.ReadAll().reason(), "SNAPSHOT_TOO_LARGE");
  EXPECT_TRUE(absl::IsResourceExhausted(player.got().end->status));
  AwaitParked(player.got().opened->session_id);
  ExpectUnharmed();
}

TEST_F(WorldParkTest, TooManySnapshotsAreRefused) {
  Player player = NewPlayer();
  player.Say(Open());
  player.Say(Act(1, {}, 64));  // they wait behind what credit does not cover
  for (int i = 0; i < 5; ++i) player.Say(WorldControl::kSnapshot);
  EXPECT_EQ(player.ReadAll().reason(), "TOO_MANY_SNAPSHOTS");
}

TEST_F(WorldParkTest, DrainingIsNoticedThenParksAndSumsUp) {
  Player player = NewPlayer();
  player.Say(Open(7)).Say(Act(1));
  player.ReadBlocks(1);
  store_->Drain(absl::Seconds(5));
  player.ReadNotices(1);
  EXPECT_EQ(player.got().notices[0].kind, WorldNotice::Kind::kDraining);
  EXPECT_EQ(player.got().notices[0].remaining, absl::Seconds(5));
  player.Say(Act(2));
  player.ReadBlocks(2);
  store_->Drain(absl::ZeroDuration());
  player.ReadAll();
  ASSERT_TRUE(player.got().end->status.ok()) << player.got().end->status;
  EXPECT_EQ(player.got().summary->reason, WorldSummary::Reason::kDrained);
  EXPECT_EQ(store_->counts().parked, 1);
}

TEST_F(WorldParkTest, DeletedSessionEndsItsStreamForGood) {
  Player player = NewPlayer();
  player.Say(Open()).Say(Act(1));
  player.ReadBlocks(1);
  store_->Delete("t", player.got().opened->session_id,
                 [](const absl::Status& status) { EXPECT_TRUE(status.ok()) << status; });
  EXPECT_EQ(player.ReadAll().reason(), "SESSION_DELETED");
  ExpectUnharmed();
  EXPECT_EQ(store_->counts().parked, 0);
}

TEST_F(WorldParkTest, IdleSessionCanBeResumed) {
  Player before = NewPlayer();
  before.Say(Open(7)).Say(Act(1, {"W"}));
  before.ReadBlocks(1);
  clock_.Advance(absl::Seconds(61));
  engine_->lane(0).Wake();
  EXPECT_EQ(before.ReadAll().reason(), "IDLE");
  Player after = NewPlayer();
  after.Say(Resume(before.got(), 0)).Say(Act(2));
  after.stream().HalfClose();
  EXPECT_EQ(after.ReadAll().blocks[0].frames, Replay(7, {Held({0}), {}})[1]);
}

TEST_F(WorldParkTest, PlayerWhoBreaksTheRulesCanComeBack) {
  Player before = NewPlayer();
  before.Say(Open(7)).Say(Act(1));
  before.ReadBlocks(1);
  before.Say(Act(2, {"NOPE"}));
  EXPECT_EQ(before.ReadAll().reason(), "UNKNOWN_KEY");
  AwaitParked(before.got().opened->session_id);
  Player after = NewPlayer();
  after.Say(Resume(before.got(), 0)).Say(Act(2));
  after.stream().HalfClose();
  EXPECT_THAT(after.ReadAll().indices(), ElementsAre(1));
}

TEST_F(WorldParkTest, CancelWhileOpeningLeavesNothing) {
  for (int i = 0; i < 30; ++i) {
    Player player = NewPlayer();
    player.Say(Open());
    std::thread canceller([&] { player.stream().Cancel(); });
    player.ReadAll();
    canceller.join();
  }
  ExpectUnharmed();
  EXPECT_TRUE(store_->WaitUntilParked(absl::Seconds(10)));
}

TEST_F(WorldParkTest, CancelWhileResumingKeepsTheSession) {
  Player first = NewPlayer();
  first.Say(Open(7)).Say(Act(1, {"W"}));
  first.ReadBlocks(1);
  first.stream().Cancel();
  first.ReadAll();
  const std::string id = first.got().opened->session_id;
  AwaitParked(id);
  for (int i = 0; i < 30; ++i) {
    Player player = NewPlayer();
    player.Say(Resume(first.got(), 0));
    std::thread canceller([&] { player.stream().Cancel(); });
    player.ReadAll();
    canceller.join();
    AwaitParked(id);
  }
  EXPECT_TRUE(store_->WaitUntilParked(absl::Seconds(10)));
  EXPECT_EQ(observer_.started, observer_.admitted_ended);
  Player last = NewPlayer();
  last.Say(Resume(first.got(), 0)).Say(Act(2, {"A"}));
  last.ReadBlocks(1);
  EXPECT_THAT(last.got().indices(), ElementsAre(1));
}

}  // namespace
}  // namespace firstbyte

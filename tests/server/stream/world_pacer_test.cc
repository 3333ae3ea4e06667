#include "server/stream/world_pacer.h"

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kPeriod = absl::Milliseconds(50);
constexpr absl::Duration kCost = absl::Milliseconds(4);  // of a block that has the lane for itself
const absl::Time kStart = absl::UnixEpoch() + absl::Seconds(100);

// What a block that takes `cost` begins before it is due: a fifth of the period in reserve.
absl::Duration Margin(absl::Duration cost) { return cost + kPeriod / 5; }

// Plays blocks that take `cost`; returns when the last was due.
absl::Time Settle(WorldPacer* pacer, absl::Duration cost) {
  absl::Time now = kStart, due;
  for (int i = 0; i < 64; ++i) {
    const auto begun = pacer->Begin(now);
    due = begun.due;
    pacer->Finished(begun, now + cost);
    now = pacer->start();
  }
  return due;
}

TEST(WorldPacer, RealtimeBlocksAreDueOnePeriodAfterTheOther) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod, kCost);
  absl::Time now = kStart;
  for (int i = 1; i <= 10; ++i) {
    EXPECT_LE(pacer.start(), now);
    const auto begun = pacer.Begin(now);
    EXPECT_EQ(begun.due, kStart + Margin(kCost) + (i - 1) * kPeriod);
    EXPECT_EQ(begun.skipped, 0);
    now = begun.due;
  }
}

// A player with next to no buffer hears or sees no gap when blocks begin to come just in time.
TEST(WorldPacer, NoBlockComesLaterAfterItsTurnThanTheFirst) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod, kCost);
  absl::Time now = kStart;
  for (int i = 0; i < 100; ++i) {
    const auto begun = pacer.Begin(now);
    pacer.Finished(begun, now + kCost);
    EXPECT_LE(now - kStart, i * kPeriod);
    now = pacer.start();
  }
}

TEST(WorldPacer, BlockBeginsJustInTimeByWhatRecentOnesTook) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod, kCost);
  const absl::Time due = Settle(&pacer, absl::Milliseconds(10));
  EXPECT_EQ(pacer.start(), due + kPeriod - Margin(absl::Milliseconds(10)));
}

TEST(WorldPacer, OneSlowBlockMakesTheNextOnesBeginEarlierUntilItIsForgotten) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod, kCost);
  Settle(&pacer, absl::Milliseconds(10));
  auto play = [&](absl::Duration cost) {
    const auto begun = pacer.Begin(pacer.start());
    pacer.Finished(begun, begun.at + cost);
    return begun.due + kPeriod - pacer.start();
  };
  EXPECT_EQ(play(absl::Milliseconds(25)), Margin(absl::Milliseconds(25)));
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(play(absl::Milliseconds(10)), Margin(absl::Milliseconds(25)));
  }
  for (int i = 0; i < 100; ++i) play(absl::Milliseconds(10));
  EXPECT_EQ(play(absl::Milliseconds(10)), Margin(absl::Milliseconds(10)));
}

TEST(WorldPacer, FirstBlocksBeginAsEarlyAsTheyMay) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod, kCost);
  absl::Time now = kStart;
  for (int i = 0; i < 10; ++i) {
    const auto begun = pacer.Begin(now);
    pacer.Finished(begun, now + kCost);
    now = pacer.start();
    EXPECT_EQ(now, begun.due);
  }
}

// ---- Late. ----

// A player got the first block and shows each one a period after it was to be there.
struct PlayerTest : testing::Test {
  PlayerTest() { EXPECT_FALSE(Play(kCost)); }

  // What a block may take before it is late: the player's buffer, and the reserve is not used.
  const absl::Duration kInHand = 2 * kPeriod - kPeriod / 5;

  // The next block, ready so long after the one before it was due.
  bool Play(absl::Duration ready) {
    const auto begun = pacer.Begin(last_due);
    last_due = begun.due;
    return pacer.Finished(begun, begun.at + ready);
  }

  WorldPacer pacer{Pacing::kRealtime, kPeriod, kCost};
  absl::Time last_due = kStart;
};

TEST_F(PlayerTest, BlockIsLateWhenItsTimeToBeShownHasPassed) {
  EXPECT_FALSE(Play(kInHand));
  EXPECT_TRUE(Play(kInHand + absl::Milliseconds(1)));
}

TEST_F(PlayerTest, BlockReadyAfterItWasDueIsNotYetLate) {
  EXPECT_FALSE(Play(kPeriod + absl::Milliseconds(1)));
}

TEST_F(PlayerTest, OneDelayIsCountedOnce) {
  EXPECT_TRUE(Play(kInHand + absl::Milliseconds(20)));
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(Play(kInHand + absl::Milliseconds(20)));
  EXPECT_TRUE(Play(kInHand + absl::Milliseconds(21)));
}

TEST_F(PlayerTest, SkippedBlocksAreOneDelay) {
  last_due += 3 * kPeriod;
  EXPECT_TRUE(Play(kCost));
  EXPECT_FALSE(Play(kCost));
}

TEST_F(PlayerTest, TimeWithoutCreditIsNotLateness) {
  pacer.Starve();
  last_due += absl::Hours(1);
  EXPECT_FALSE(Play(kCost));
  EXPECT_FALSE(Play(kPeriod));
}

TEST(WorldPacer, OtherPacingsAreNeverLate) {
  for (Pacing pacing : {Pacing::kLockstep, Pacing::kFreeRun}) {
    WorldPacer pacer(pacing, kPeriod, kCost);
    for (int i = 0; i < 3; ++i) {
      EXPECT_FALSE(pacer.Finished(pacer.Begin(kStart), kStart + absl::Seconds(i)));
    }
  }
}

// ---- Skipping and starving. ----

TEST(WorldPacer, BlockNeverBeginsBeforeTheOneBeforeItWasDue) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod, kCost);
  const absl::Time due = Settle(&pacer, absl::Milliseconds(200));
  EXPECT_EQ(pacer.start(), due);
}

TEST(WorldPacer, BlocksWhoseTimeHasPassedAreSkippedAndCounted) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod, kCost);
  const absl::Time due = Settle(&pacer, absl::Milliseconds(10));
  const auto begun = pacer.Begin(due + 2 * kPeriod + absl::Milliseconds(1));
  EXPECT_EQ(begun.skipped, 2);
  EXPECT_EQ(begun.due, due + 3 * kPeriod);
}

TEST(WorldPacer, TimeWithoutCreditIsNotSkipped) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod, kCost);
  Settle(&pacer, absl::Milliseconds(10));
  pacer.Starve();
  const absl::Time now = kStart + absl::Hours(1);
  const auto begun = pacer.Begin(now);
  EXPECT_EQ(begun.skipped, 0);
  EXPECT_EQ(begun.due, now + Margin(absl::Milliseconds(10)));
}

TEST(WorldPacer, CreditThatComesInTimeChangesNothing) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod, kCost);
  const absl::Time due = Settle(&pacer, absl::Milliseconds(10));
  pacer.Starve();
  EXPECT_EQ(pacer.start(), due + kPeriod - Margin(absl::Milliseconds(10)))
      << "never faster than the clock";
  EXPECT_EQ(pacer.Begin(pacer.start()).due, due + kPeriod);
}

TEST(WorldPacer, OtherPacingsBeginAtOnce) {
  for (Pacing pacing : {Pacing::kLockstep, Pacing::kFreeRun}) {
    WorldPacer pacer(pacing, kPeriod, kCost);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(pacer.start(), absl::InfinitePast());
      const auto begun = pacer.Begin(kStart);
      EXPECT_GT(begun.due, kStart);
      EXPECT_EQ(begun.skipped, 0);
    }
  }
}

}  // namespace
}  // namespace firstbyte

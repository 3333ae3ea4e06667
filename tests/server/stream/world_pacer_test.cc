#include "server/stream/world_pacer.h"

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kPeriod = absl::Milliseconds(50);
const absl::Time kStart = absl::UnixEpoch() + absl::Seconds(100);

// A pacer that knows that blocks take `cost`; its last block was due at the time returned.
absl::Time Settle(WorldPacer* pacer, absl::Duration cost) {
  absl::Time now = kStart, due;
  for (int i = 0; i < 64; ++i) {
    due = pacer->Begin(now).due;
    pacer->Finished(cost);
    now = pacer->start();
  }
  return due;
}

TEST(WorldPacer, RealtimeBlocksAreDueOnePeriodAfterTheOther) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod);
  absl::Time now = kStart;
  for (int i = 1; i <= 10; ++i) {
    EXPECT_LE(pacer.start(), now);
    const auto begun = pacer.Begin(now);
    EXPECT_EQ(begun.due, kStart + i * kPeriod);
    EXPECT_EQ(begun.skipped, 0);
    now = begun.due;
  }
}

TEST(WorldPacer, BlockBeginsJustInTimeByWhatRecentOnesTook) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod);
  const absl::Time due = Settle(&pacer, absl::Milliseconds(10));
  EXPECT_EQ(pacer.start(), due + kPeriod - absl::Milliseconds(12));
}

TEST(WorldPacer, BlockNeverBeginsBeforeTheOneBeforeItWasDue) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod);
  const absl::Time due = Settle(&pacer, absl::Milliseconds(200));
  EXPECT_EQ(pacer.start(), due);
}

TEST(WorldPacer, BlocksWhoseTimeHasPassedAreSkippedAndCounted) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod);
  const absl::Time due = Settle(&pacer, absl::Milliseconds(10));
  const auto begun = pacer.Begin(due + 2 * kPeriod + absl::Milliseconds(1));
  EXPECT_EQ(begun.skipped, 2);
  EXPECT_EQ(begun.due, due + 3 * kPeriod);
}

TEST(WorldPacer, TimeWithoutCreditIsNotLateness) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod);
  Settle(&pacer, absl::Milliseconds(10));
  pacer.Starve();
  const absl::Time now = kStart + absl::Hours(1);
  const auto begun = pacer.Begin(now);
  EXPECT_EQ(begun.skipped, 0);
  EXPECT_EQ(begun.due, now + absl::Milliseconds(12));
}

TEST(WorldPacer, CreditThatComesInTimeChangesNothing) {
  WorldPacer pacer(Pacing::kRealtime, kPeriod);
  const absl::Time due = Settle(&pacer, absl::Milliseconds(10));
  pacer.Starve();
  EXPECT_EQ(pacer.start(), due + kPeriod - absl::Milliseconds(12)) << "never faster than the clock";
  EXPECT_EQ(pacer.Begin(pacer.start()).due, due + kPeriod);
}

TEST(WorldPacer, OtherPacingsBeginAtOnce) {
  for (Pacing pacing : {Pacing::kLockstep, Pacing::kFreeRun}) {
    WorldPacer pacer(pacing, kPeriod);
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

#include "server/stream/playback_meter.h"

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Seconds(10);
absl::Time At(int ms) { return kStart + absl::Milliseconds(ms); }

TEST(PlaybackMeter, NothingIsPlayedBeforeTheFirstWrite) {
  PlaybackMeter meter;
  EXPECT_EQ(meter.Played(At(100)), absl::ZeroDuration());
  EXPECT_EQ(meter.DrySince(At(100)), std::nullopt);
}

TEST(PlaybackMeter, PlaysInRealTimeUntilDry) {
  PlaybackMeter meter;
  meter.OnWritten(absl::Milliseconds(40), At(0));
  EXPECT_EQ(meter.Lead(At(10)), absl::Milliseconds(30));
  EXPECT_EQ(meter.Lead(At(500)), absl::ZeroDuration());
  EXPECT_EQ(meter.DrySince(At(500)), At(40));
}

TEST(PlaybackMeter, AStopIsNeverMadeUpFor) {
  PlaybackMeter meter;
  meter.OnWritten(absl::Milliseconds(40), At(0));
  meter.OnWritten(absl::Milliseconds(40), At(100));  // 60 ms of silence
  EXPECT_EQ(meter.DrySince(At(110)), std::nullopt);
  EXPECT_EQ(meter.Played(At(120)), absl::Milliseconds(60));
  EXPECT_EQ(meter.DrySince(At(200)), At(140));
}

TEST(PlaybackMeter, LeadAddsUpWhileAhead) {
  PlaybackMeter meter;
  meter.OnWritten(absl::Milliseconds(400), At(0));
  meter.OnWritten(absl::Milliseconds(400), At(100));
  EXPECT_EQ(meter.Lead(At(200)), absl::Milliseconds(600));
}

}  // namespace
}  // namespace firstbyte

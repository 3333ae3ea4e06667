#include "client/loadgen/playback.h"

#include <cmath>
#include <vector>

#include "base/clock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kJitter = absl::Milliseconds(20);

absl::Duration Ms(int64_t ms) { return absl::Milliseconds(ms); }

class PlaybackTest : public testing::Test {
 protected:
  // A chunk of `media` arrives `later` after the one before.
  void Arrive(absl::Duration later, absl::Duration media) {
    clock_.Advance(later);
    arrivals_.push_back({clock_.Now(), media});
  }
  Playback Simulate() { return SimulatePlayback(arrivals_, kJitter); }

  FakeClock clock_;
  const absl::Time begin_ = clock_.Now();
  std::vector<Arrival> arrivals_;
};

TEST_F(PlaybackTest, StartsOneJitterBufferAfterTheFirstArrival) {
  Arrive(Ms(5), Ms(40));
  Playback playback = Simulate();
  EXPECT_EQ(playback.start, begin_ + Ms(25));
  EXPECT_EQ(playback.end, begin_ + Ms(65));
  EXPECT_EQ(playback.media, Ms(40));
  EXPECT_EQ(playback.underruns, 0);
}

TEST_F(PlaybackTest, TheJitterBufferCoversAChunkThatIsALittleLate) {
  Arrive(Ms(0), Ms(40));
  Arrive(Ms(60), Ms(40));  // 40 of media + 20 of buffer: just in time
  EXPECT_EQ(Simulate().underruns, 0);
  EXPECT_EQ(Simulate().end, begin_ + Ms(100));
}

TEST_F(PlaybackTest, RunningDryIsAnUnderrunAndBuffersAgain) {
  Arrive(Ms(0), Ms(40));
  Arrive(Ms(61), Ms(40));
  Playback playback = Simulate();
  EXPECT_EQ(playback.underruns, 1);
  EXPECT_EQ(playback.stalled, Ms(21));  // dry at 60, sound again at 61 + 20
  EXPECT_EQ(playback.end, begin_ + Ms(121));
}

TEST_F(PlaybackTest, LeadBuiltUpEarlyCoversALaterPause) {
  Arrive(Ms(0), Ms(40));
  Arrive(Ms(1), Ms(1000));
  Arrive(Ms(1000), Ms(40));
  EXPECT_EQ(Simulate().underruns, 0);
}

TEST_F(PlaybackTest, AStallIsNeverRepaid) {
  Arrive(Ms(0), Ms(20));
  Arrive(Ms(100), Ms(20));
  Arrive(Ms(0), Ms(500));  // plenty now, but what was silent stays silent
  Playback playback = Simulate();
  EXPECT_EQ(playback.end - playback.start, playback.media + playback.stalled);
}

TEST_F(PlaybackTest, SilenceAfterTheEndIsNoUnderrun) {
  Arrive(Ms(0), Ms(40));
  Arrive(Ms(500), Ms(0));  // an empty last message
  EXPECT_EQ(Simulate().underruns, 0);
}

TEST_F(PlaybackTest, NothingArrivedNothingPlays) {
  EXPECT_EQ(Simulate().start, absl::InfiniteFuture());
  EXPECT_EQ(Simulate().media, absl::ZeroDuration());
}

TEST(FirstAudibleSample, FindsTheFirstLoudWindow) {
  std::vector<float> samples(1600, 0.0f);
  EXPECT_FALSE(FirstAudibleSample(samples, 16000));
  for (size_t i = 480; i < samples.size(); ++i) samples[i] = 0.1f;
  EXPECT_EQ(FirstAudibleSample(samples, 16000), 480);
}

TEST(FirstAudibleSample, TheThresholdIsMinus50Decibel) {
  auto tone = [](double decibel) {
    std::vector<float> samples(160);
    for (size_t i = 0; i < samples.size(); ++i) {
      samples[i] = static_cast<float>(std::pow(10, decibel / 20) * (i % 2 == 0 ? 1 : -1));
    }
    return samples;
  };
  EXPECT_FALSE(FirstAudibleSample(tone(-50.1), 16000));
  EXPECT_TRUE(FirstAudibleSample(tone(-49.9), 16000));
}

TEST(FirstAudibleSample, AnIncompleteWindowSaysNothingYet) {
  EXPECT_FALSE(FirstAudibleSample(std::vector<float>(159, 0.5f), 16000));
  EXPECT_FALSE(FirstAudibleSample({}, 0));
}

}  // namespace
}  // namespace firstbyte

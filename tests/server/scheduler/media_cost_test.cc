#include "server/scheduler/media_cost.h"

#include "gtest/gtest.h"
#include "model/scripted.h"
#include "model/scripted_world.h"
#include "server/scheduler/warm_up.h"

namespace firstbyte {
namespace {

// Whoever looks at it spends 10 ms.
class SlowClock : public Clock {
 public:
  absl::Time Now() const override { return now_ += absl::Milliseconds(10); }

 private:
  mutable absl::Time now_ = absl::UnixEpoch();
};

AudioFormat As(AudioEncoding encoding) { return {.encoding = encoding}; }

TEST(MediaCost, IsTimeSpentOnASecondOfMedia) {
  const ModelInfo voice{.sample_rate_hertz = 16000};
  const Output media{.samples = std::vector<float>(4000)};
  const MediaCosts costs = MediaCosts::Measure(voice, media, SlowClock());
  EXPECT_DOUBLE_EQ(costs.Of(As(AudioEncoding::kOpus)), 0.01 / 0.25);
  EXPECT_EQ(costs.Of(As(AudioEncoding::kPcm16)), 0);
  EXPECT_EQ(costs.Of(As(AudioEncoding::kWav)), 0);
  EXPECT_EQ(costs.Of(ImageFormat::kPng), 0) << "a voice shows nothing";
}

TEST(MediaCost, OfPicturesByFormat) {
  const ModelInfo world{.world = WorldInfo{.width = 8, .height = 8, .frames_per_second = 20}};
  const Output media{.frames = std::vector<uint8_t>(4 * 3 * 8 * 8)};
  const MediaCosts costs = MediaCosts::Measure(world, media, SlowClock());
  EXPECT_DOUBLE_EQ(costs.Of(ImageFormat::kJpeg), 0.01 / 0.2);
  EXPECT_DOUBLE_EQ(costs.Of(ImageFormat::kPng), 0.01 / 0.2);
  EXPECT_EQ(costs.Of(ImageFormat::kRawRgb), 0);
  EXPECT_EQ(costs.Of(As(AudioEncoding::kOpus)), 0) << "this world makes no sound";
}

TEST(MediaCost, IsMeasuredAtWarmUpOnWhatTheModelMakes) {
  const auto voice = MakeScriptedModel();
  const auto speech = WarmUp(voice.get(), SlowClock(), absl::Milliseconds(8));
  ASSERT_TRUE(speech.ok()) << speech.status();
  EXPECT_GT(speech->media.Of(As(AudioEncoding::kOpus)), 0);

  const auto world = MakeScriptedWorld();
  const auto blocks = WarmUp(world.get(), SlowClock(), absl::Milliseconds(8));
  ASSERT_TRUE(blocks.ok()) << blocks.status();
  EXPECT_GT(blocks->media.Of(ImageFormat::kJpeg), 0);
}

}  // namespace
}  // namespace firstbyte

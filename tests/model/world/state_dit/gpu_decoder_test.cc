// The decoder on a GPU, emulated or not, against the CPU's.
#include "model/world/state_dit/gpu_decoder.h"

#include <cmath>
#include <optional>
#include <random>

#include "tests/model/world/state_dit/device_fixture.h"

namespace firstbyte::state_dit {
namespace {

using Floats = std::vector<float>;

constexpr int kMaxBatch = 3;
constexpr int64_t kPixels = int64_t{3} * kPicture * kPicture;
constexpr double kTolerance = 2e-4;

class GpuDecoderTest : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped()) return;
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    for (Floats& latents : latents_) {
      latents.resize(kVideoTokens * world_->config.latent_channels);
      for (float& value : latents) value = normal(random);
    }
  }

  absl::StatusOr<std::unique_ptr<GpuDecoder>> Open(cuda::GraphMode mode = cuda::GraphMode::kGraphs,
                                                   int max_batch = kMaxBatch) {
    return WithWeights([&](nn::WeightLoader* weights) {
      return GpuDecoder::Create(gpu_.get(), world_->config, weights,
                                {.max_batch = max_batch, .mode = mode});
    });
  }

  // All pictures, `batch` at a time; a batch is read when the next has been given.
  std::vector<Floats> Decode(GpuDecoder* decoder, size_t batch) {
    std::vector<Floats> made(latents_.size(), Floats(kPixels));
    std::vector<GpuDecoder::Picture> before;
    Ticket ticket = 0;
    for (size_t i = 0; i < made.size(); i += batch) {
      std::vector<GpuDecoder::Picture> pictures;
      for (size_t j = i; j < std::min(i + batch, made.size()); ++j) {
        pictures.push_back({static_cast<int>(9 - j), latents_[j].data(), made[j].data()});
      }
      const absl::StatusOr<Ticket> given = decoder->Decode(pictures);
      EXPECT_TRUE(given.ok()) << given.status();
      if (!given.ok()) return made;
      if (ticket > 0) {
        EXPECT_TRUE(decoder->Finish(ticket, before).ok());
      }
      ticket = *given;
      before = pictures;
    }
    EXPECT_TRUE(decoder->Finish(ticket, before).ok());
    return made;
  }

  std::vector<Floats> latents_ = std::vector<Floats>(5);
};

TEST_P(GpuDecoderTest, MakesThePicturesOfTheCpu) {
  auto decoder = Open();
  ASSERT_TRUE(decoder.ok()) << decoder.status();
  const std::vector<Floats> made = Decode(decoder->get(), kMaxBatch);
  Decoder::Buffers buffers(world_->config, 1);
  for (size_t picture = 0; picture < made.size(); ++picture) {
    world_->decoder.Run({latents_[picture].data()}, &buffers);
    const float* expected = buffers.pixels.data();
    for (int64_t i = 0; i < kPixels; ++i) {
      ASSERT_NEAR(made[picture][i], expected[i], kTolerance * (1 + std::abs(expected[i])))
          << "picture " << picture << " at " << i;
    }
  }
}

TEST_P(GpuDecoderTest, APictureIsTheSameAloneAndWithoutGraphs) {
  auto graphs = Open(), eager = Open(cuda::GraphMode::kEager);
  ASSERT_TRUE(graphs.ok() && eager.ok());
  const std::vector<Floats> together = Decode(graphs->get(), kMaxBatch);
  EXPECT_EQ(Decode(graphs->get(), 1), together);
  EXPECT_EQ(Decode(eager->get(), kMaxBatch), together);
}

TEST_P(GpuDecoderTest, MorePicturesThanItWasMadeForAreRefused) {
  auto decoder = Open();
  ASSERT_TRUE(decoder.ok()) << decoder.status();
  const std::vector<GpuDecoder::Picture> many(kMaxBatch + 1, {0, latents_[0].data(), nullptr});
  EXPECT_EQ((*decoder)->Decode(many).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(GpuDecoderTest, WithoutMemoryForItsMapsItIsRefused) {
  const auto decoder = Open(cuda::GraphMode::kGraphs, /*max_batch=*/1 << 20);
  EXPECT_EQ(decoder.status().code(), absl::StatusCode::kResourceExhausted) << decoder.status();
}

INSTANTIATE_TEST_SUITE_P(On, GpuDecoderTest, AllDevices(), NameOfDevice);

}  // namespace
}  // namespace firstbyte::state_dit

// The decoder on a GPU, emulated or not, against the CPU's.
#include "model/world/waypoint/gpu_taehv.h"

#include <cmath>
#include <random>

#include "model/world/waypoint/picture.h"
#include "tests/model/world/waypoint/device_fixture.h"

namespace firstbyte::waypoint {
namespace {

using Floats = std::vector<float>;
using Bytes = std::vector<uint8_t>;

constexpr int kSlots = 5, kMaxBatch = 2, kFrames = 3;
constexpr int kStreams[] = {4, 1};  // by slot

// What two streams of latents become: pictures, stream by stream in each frame, and histories.
struct Shown {
  std::vector<Bytes> pictures;
  std::vector<Floats> histories;
};

class GpuTaehvTest : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped()) return;
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    latents_.assign(kFrames * std::size(kStreams), Floats(checkpoint_->config.latent_size()));
    for (Floats& latent : latents_) {
      for (float& value : latent) value = 2 * normal(random);
    }
  }

  template <typename T>
  std::unique_ptr<GpuTaehv<T>> Open(cuda::GraphMode mode = cuda::GraphMode::kGraphs) {
    auto made = WithWeights(
        "taehv1_5.safetensors", [&](const SafeTensors& file, nn::WeightLoader* weights) {
          return GpuTaehv<T>::Create(gpu_.get(), checkpoint_->config, file, weights,
                                     {.slots = kSlots, .max_batch = kMaxBatch, .mode = mode});
        });
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }

  template <typename T>
  Shown OnGpu(GpuTaehv<T>* taehv, bool batched) {
    Shown shown;
    for (int i = 0; i < kFrames; ++i) {
      std::vector<typename GpuTaehv<T>::Feed> feeds;
      for (int slot : kStreams) {
        feeds.push_back({slot, latents_[i * std::size(kStreams) + feeds.size()].data()});
      }
      const size_t size = batched ? feeds.size() : 1;
      for (size_t at = 0; at < feeds.size(); at += size) {
        const auto part = absl::MakeConstSpan(feeds).subspan(at, size);
        if (i == 0) Prime(taehv, part);
        const auto ticket = taehv->Show(part);
        EXPECT_TRUE(ticket.ok()) << ticket.status();
        const auto bytes = taehv->FinishShow(*ticket);
        EXPECT_TRUE(bytes.ok()) << bytes.status();
        for (size_t row = 0; row < size; ++row) {
          const uint8_t* from = *bytes + row * taehv->picture_bytes();
          shown.pictures.emplace_back(from, from + taehv->picture_bytes());
        }
      }
    }
    for (int slot : kStreams) {
      EXPECT_TRUE(taehv->SaveHistory(slot, &shown.histories.emplace_back()).ok());
    }
    return shown;
  }

  Shown OnCpu() {
    const Config& c = checkpoint_->config;
    const TaehvDecoder& decoder = checkpoint_->decoder;
    TaehvDecoder::Buffers buffers(decoder);
    Floats pictures(int64_t{kFramesPerLatent} * c.decoded_height() * c.decoded_width() * 3);
    Shown shown;
    shown.histories.assign(std::size(kStreams), Floats(decoder.history_floats()));
    for (size_t i = 0; i < latents_.size(); ++i) {
      Floats& history = shown.histories[i % std::size(kStreams)];
      for (int feed = i < std::size(kStreams) ? TaehvDecoder::kPrimingFeeds : 0; feed >= 0;
           --feed) {
        decoder.Run(latents_[i].data(), history.data(), &buffers, pictures.data());
      }
      ToBytes(pictures.data(), static_cast<int64_t>(pictures.size()),
              shown.pictures.emplace_back(pictures.size()).data());
    }
    return shown;
  }

  // How far apart numbers are: the largest difference and, as a share of theirs, the mean square's.
  struct Distance {
    double largest = 0, share = 0;
  };
  template <typename Numbers>
  static Distance Apart(const std::vector<Numbers>& made, const std::vector<Numbers>& expected) {
    Distance distance;
    double squares = 0, all = 0;
    EXPECT_EQ(made.size(), expected.size());
    for (size_t i = 0; i < made.size(); ++i) {
      EXPECT_EQ(made[i].size(), expected[i].size());
      for (size_t j = 0; j < made[i].size(); ++j) {
        const double apart = double{1} * made[i][j] - expected[i][j];
        distance.largest = std::max(distance.largest, std::abs(apart));
        squares += apart * apart;
        all += double{1} * expected[i][j] * expected[i][j];
      }
    }
    distance.share = std::sqrt(squares / all);
    return distance;
  }

  std::vector<Floats> latents_;  // [frames, streams]

 private:
  template <typename T>
  static void Prime(GpuTaehv<T>* taehv, absl::Span<const typename GpuTaehv<T>::Feed> feeds) {
    const auto ticket = taehv->Prime(feeds);
    ASSERT_TRUE(ticket.ok()) << ticket.status();
    ASSERT_TRUE(taehv->FinishPrime(*ticket).ok());
  }
};

TEST_P(GpuTaehvTest, MakesThePicturesOfTheCpu) {
  const Shown made = OnGpu(Open<float>().get(), /*batched=*/true), expected = OnCpu();
  EXPECT_LE(Apart(made.pictures, expected.pictures).largest, 1);
  EXPECT_LE(Apart(made.histories, expected.histories).largest, 1e-4);
}

TEST_P(GpuTaehvTest, InBf16TheyAreNear) {
  const Shown made = OnGpu(Open<cuda::Bf16>().get(), /*batched=*/true), expected = OnCpu();
  EXPECT_LE(Apart(made.pictures, expected.pictures).share, 0.03);
  EXPECT_LE(Apart(made.histories, expected.histories).share, 0.03);
}

TEST_P(GpuTaehvTest, AStreamIsTheSameAloneAndWithoutGraphs) {
  const Shown together = OnGpu(Open<float>().get(), /*batched=*/true);
  const Shown alone = OnGpu(Open<float>(cuda::GraphMode::kEager).get(), /*batched=*/false);
  EXPECT_EQ(alone.pictures, together.pictures);
  EXPECT_EQ(alone.histories, together.histories);
}

TEST_P(GpuTaehvTest, AStreamThatBeginsForgetsWhoHadItsSlot) {
  const auto taehv = Open<float>();
  const Shown first = OnGpu(taehv.get(), /*batched=*/true);
  EXPECT_EQ(OnGpu(taehv.get(), /*batched=*/true).pictures, first.pictures);
}

TEST_P(GpuTaehvTest, AHistoryIsWhatWasLoaded) {
  const auto taehv = Open<float>();
  Floats history(checkpoint_->decoder.history_floats()), saved;
  for (size_t i = 0; i < history.size(); ++i) history[i] = static_cast<float>(i % 1000) / 7;
  ASSERT_TRUE(taehv->LoadHistory(2, history).ok());
  ASSERT_TRUE(taehv->SaveHistory(2, &saved).ok());
  EXPECT_EQ(saved, history);
  ASSERT_TRUE(taehv->SaveHistory(3, &saved).ok());
  EXPECT_EQ(saved, Floats(history.size()));
}

INSTANTIATE_TEST_SUITE_P(On, GpuTaehvTest, AllDevices(), NameOfDevice);

}  // namespace
}  // namespace firstbyte::waypoint

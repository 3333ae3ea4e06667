// The transformer on a GPU, emulated or not, against the CPU's.
#include "model/world/waypoint/gpu_dit.h"

#include <cmath>
#include <random>

#include "tests/model/world/waypoint/device_fixture.h"

namespace firstbyte::waypoint {
namespace {

using Floats = std::vector<float>;

constexpr int kSlots = 5, kMaxBatch = 3;
// Past the wrap of both rings, which come round every 4 and every 12 frames.
constexpr int kFrames = 16;

// A session's part in a frame: a pass from noise, at a level that differs, and the commit.
struct Part {
  Part(const Config& c, std::mt19937* random, int slot, int64_t frame, KvCache* cache)
      : slot(slot), frame(frame), cache(cache), sigma(static_cast<int>((frame + slot) % 4)) {
    std::normal_distribution<float> normal;
    for (int i = 0; i < c.latent_size(); ++i) latent.push_back(normal(*random));
    for (int i = 0; i < c.controls(); ++i) controls.push_back((*random)() % 2 == 0 ? 0 : 1);
    velocity.resize(latent.size());
  }
  PassRow Denoised() {
    return {latent.data(), controls.data(), frame, sigma, slot, cache, velocity.data()};
  }
  PassRow Committed(const Config& c) {
    return {latent.data(), controls.data(), frame, c.passes(), slot, cache, nullptr};
  }

  int slot;
  int64_t frame;
  KvCache* cache;
  int sigma;
  Floats latent, controls, velocity;
};

class GpuDitTest : public DeviceTest {
 protected:
  template <typename T>
  absl::StatusOr<std::unique_ptr<GpuDit<T>>> Open(cuda::GraphMode mode = cuda::GraphMode::kGraphs,
                                                  int slots = kSlots) {
    return WithWeights("model.safetensors", [&](const SafeTensors&, nn::WeightLoader* weights) {
      return GpuDit<T>::Create(gpu_.get(), checkpoint_->config, checkpoint_->dit, weights,
                               {.slots = slots, .max_batch = kMaxBatch, .mode = mode});
    });
  }

  // What the sessions of three slots play, which begin one after the other: run(rows to denoise,
  // rows to commit) for each frame of all or, unless `batched`, of each. Returns the velocities.
  template <typename Run>
  Floats Play(bool batched, Run run) {
    std::mt19937 random(5);
    std::vector<KvCache> caches;  // a copy would share its memory
    for (int slot = 0; slot < kSlots; ++slot) caches.emplace_back(checkpoint_->config);
    Floats all;
    for (int64_t frame = 0; frame < kFrames; ++frame) {
      std::vector<Part> parts;
      for (int slot : {3, 0, 4}) {
        const int64_t own = frame - slot;
        if (own >= 0) parts.emplace_back(checkpoint_->config, &random, slot, own, &caches[slot]);
      }
      std::vector<PassRow> denoised, committed;
      for (Part& part : parts) {
        denoised.push_back(part.Denoised());
        committed.push_back(part.Committed(checkpoint_->config));
      }
      const size_t size = batched ? parts.size() : 1;
      for (size_t i = 0; i < parts.size(); i += size) {
        run(absl::MakeConstSpan(denoised).subspan(i, size),
            absl::MakeConstSpan(committed).subspan(i, size));
      }
      for (const Part& part : parts) {
        all.insert(all.end(), part.velocity.begin(), part.velocity.end());
      }
    }
    return all;
  }

  // The commit is given before the velocities are read.
  template <typename T>
  Floats PlayOnGpu(GpuDit<T>* dit, bool batched) {
    return Play(batched, [&](auto denoise, auto commit) {
      const absl::StatusOr<Ticket> denoised = dit->Denoise(denoise),
                                   committed = dit->Commit(commit);
      ASSERT_TRUE(denoised.ok() && committed.ok()) << denoised.status() << committed.status();
      ASSERT_TRUE(dit->FinishDenoise(*denoised, denoise).ok());
      ASSERT_TRUE(dit->FinishCommit(*committed).ok());
    });
  }
  const Floats& PlayedOnCpu() {
    static const auto* const played = new Floats([&] {
      DitBuffers buffers(checkpoint_->config, kMaxBatch);
      return Play(/*batched=*/true, [&](auto denoise, auto commit) {
        checkpoint_->dit.Run(Pass::kDenoise, denoise, &buffers);
        checkpoint_->dit.Run(Pass::kCommit, commit, &buffers);
      });
    }());
    return *played;
  }

  template <typename T>
  void Check(double tolerance) {
    auto dit = Open<T>();
    ASSERT_TRUE(dit.ok()) << dit.status();
    const Floats made = PlayOnGpu(dit->get(), /*batched=*/true);
    const Floats& expected = PlayedOnCpu();
    ASSERT_EQ(made.size(), expected.size());
    for (size_t i = 0; i < made.size(); ++i) {
      ASSERT_NEAR(made[i], expected[i], tolerance * (1 + std::abs(expected[i]))) << "at " << i;
    }
  }
};

TEST_P(GpuDitTest, GivesTheVelocitiesOfTheCpu) { Check<float>(2e-4); }

TEST_P(GpuDitTest, InBf16TheyAreNear) { Check<cuda::Bf16>(0.1); }

TEST_P(GpuDitTest, ASessionIsTheSameAloneAndWithoutGraphs) {
  auto graphs = Open<float>(), alone = Open<float>();
  auto eager = Open<float>(cuda::GraphMode::kEager);
  ASSERT_TRUE(graphs.ok() && alone.ok() && eager.ok());
  const Floats together = PlayOnGpu(graphs->get(), /*batched=*/true);
  EXPECT_EQ(PlayOnGpu(alone->get(), /*batched=*/false), together);
  EXPECT_EQ(PlayOnGpu(eager->get(), /*batched=*/true), together);
}

TEST_P(GpuDitTest, WithoutMemoryForItsRingsItIsRefused) {
  const auto dit = Open<float>(cuda::GraphMode::kGraphs, /*slots=*/1 << 20);
  EXPECT_EQ(dit.status().code(), absl::StatusCode::kResourceExhausted) << dit.status();
}

INSTANTIATE_TEST_SUITE_P(On, GpuDitTest, AllDevices(), NameOfDevice);

}  // namespace
}  // namespace firstbyte::waypoint

// The DiT on a GPU, emulated or not, against the CPU's.
#include "model/world/state_dit/gpu_dit.h"

#include <cmath>
#include <optional>
#include <random>

#include "tests/model/world/state_dit/device_fixture.h"

namespace firstbyte::state_dit {
namespace {

constexpr int kSlots = 5, kMaxBatch = 3;

// How far a pass may be off, of 1 and of the value at hand.
double ToleranceOf(cuda::Number number) {
  switch (number) {
    case cuda::Number::kF32:
      return 2e-4;
    case cuda::Number::kBf16:
      return 5e-2;
    default:
      return 1e-2;
  }
}

// What a pass of one session is given and gives.
struct Pass {
  Pass(const Config& c, std::mt19937* random, int slot, int64_t frame, int64_t committed)
      : slot(slot), frame(frame), ring{committed} {
    std::normal_distribution<float> normal;
    const auto draw = [&](size_t count) {
      std::vector<float> values(count);
      for (float& value : values) value = normal(*random);
      return values;
    };
    facts.after = {5.5f, 4.5f, 0.3f, 1, 0, 2};
    facts.before = {5.4f, 4.5f, 0.2f, 0, 0, 3};
    facts.events = draw(c.dit.events);
    video = draw(kVideoTokens * c.latent_channels);
    estimate = c.dit.renderer ? draw(video.size()) : std::vector<float>(video.size());
    audio = draw(c.audio_channels);
    columns = draw(kLatentSide * c.column_features());
    const std::vector<float> carried = draw(kNoteSize);
    std::copy(carried.begin(), carried.end(), note.begin());
    video_out.resize(video.size());
    audio_out.resize(audio.size());
  }
  PassRow Row() {
    return {&facts,           0.5f,         /*theme=*/1, frame,
            video.data(),     audio.data(), &note,       estimate.data(),
            columns.data(),   slot,         ring,        video_out.data(),
            audio_out.data(), &note_out};
  }
  std::vector<float> Out() const {
    std::vector<float> all = video_out;
    all.insert(all.end(), audio_out.begin(), audio_out.end());
    all.insert(all.end(), note_out.begin(), note_out.end());
    return all;
  }

  FrameFacts facts;
  std::vector<float> video, audio, estimate, columns, video_out, audio_out;
  Note note, note_out;
  int slot;
  int64_t frame;
  RingIndex ring;
};

class GpuDitTest : public DeviceTest {
 protected:
  absl::StatusOr<std::unique_ptr<GpuDit>> Open(cuda::GraphMode mode = cuda::GraphMode::kGraphs,
                                               cuda::Number number = cuda::Number::kF32,
                                               int slots = kSlots) {
    return WithWeights([&](nn::WeightLoader* weights) {
      return GpuDit::Create(
          gpu_.get(), world_->config, world_->dit, weights,
          {.slots = slots, .max_batch = kMaxBatch, .mode = mode, .number = number});
    });
  }

  // Frames of three sessions, each a pass and a commit, until the rings have gone round; returns
  // what was predicted. `batched`: in one step, else one session after the other.
  std::vector<float> Play(GpuDit* dit, bool batched) {
    std::mt19937 random(5);
    std::vector<float> all;
    for (int64_t frame = 0; frame < world_->config.dit.window + 3; ++frame) {
      std::vector<Pass> passes;
      for (int slot : {3, 0, 4}) {
        passes.emplace_back(world_->config, &random, slot, frame + 100 * slot, frame);
      }
      std::vector<PassRow> rows;
      for (Pass& pass : passes) rows.push_back(pass.Row());
      const size_t size = batched ? rows.size() : 1;
      for (size_t i = 0; i < rows.size(); i += size) {
        Both(dit, absl::MakeConstSpan(rows).subspan(i, size));
      }
      for (const Pass& pass : passes) {
        const std::vector<float> out = pass.Out();
        all.insert(all.end(), out.begin(), out.end());
      }
    }
    return all;
  }
  // The commit is given before the prediction is read.
  void Both(GpuDit* dit, absl::Span<const PassRow> rows) {
    const absl::StatusOr<Ticket> denoised = dit->Denoise(rows), committed = dit->Commit(rows);
    ASSERT_TRUE(denoised.ok() && committed.ok()) << denoised.status() << committed.status();
    ASSERT_TRUE(dit->FinishDenoise(*denoised, rows).ok());
    ASSERT_TRUE(dit->FinishCommit(*committed).ok());
  }

  std::vector<float> PlayOnCpu() {
    const Config& config = world_->config;
    const Rings rings(config.dit, kSlots);
    Dit::Buffers buffers(config, kMaxBatch);
    std::mt19937 random(5);
    std::vector<float> all;
    for (int64_t frame = 0; frame < config.dit.window + 3; ++frame) {
      for (int slot : {3, 0, 4}) {
        Pass pass(config, &random, slot, frame + 100 * slot, frame);
        const PassRow row = pass.Row();
        world_->dit.Denoise({row}, rings, &buffers);
        world_->dit.Commit({row}, rings, &buffers);
        const std::vector<float> out = pass.Out();
        all.insert(all.end(), out.begin(), out.end());
      }
    }
    return all;
  }

  void PredictsWhatTheCpuDoes(cuda::Number number) {
    auto dit = Open(cuda::GraphMode::kGraphs, number);
    ASSERT_TRUE(dit.ok()) << dit.status();
    const std::vector<float> made = Play(dit->get(), /*batched=*/true), expected = PlayOnCpu();
    ASSERT_EQ(made.size(), expected.size());
    for (size_t i = 0; i < made.size(); ++i) {
      ASSERT_NEAR(made[i], expected[i], ToleranceOf(number) * (1 + std::abs(expected[i])))
          << "at " << i;
    }
  }

  void ASessionIsTheSame(cuda::Number number) {
    auto graphs = Open(cuda::GraphMode::kGraphs, number);
    auto alone = Open(cuda::GraphMode::kGraphs, number);
    auto eager = Open(cuda::GraphMode::kEager, number);
    ASSERT_TRUE(graphs.ok() && alone.ok() && eager.ok());
    const std::vector<float> together = Play(graphs->get(), /*batched=*/true);
    EXPECT_EQ(Play(alone->get(), /*batched=*/false), together);
    EXPECT_EQ(Play(eager->get(), /*batched=*/true), together);
  }
};

TEST_P(GpuDitTest, PredictsWhatTheCpuDoes) { PredictsWhatTheCpuDoes(cuda::Number::kF32); }

TEST_P(GpuDitTest, AlsoWithFewerDigits) {
  PredictsWhatTheCpuDoes(cuda::Number::kTf32);
  PredictsWhatTheCpuDoes(cuda::Number::kF16);
  PredictsWhatTheCpuDoes(cuda::Number::kBf16);
}

TEST_P(GpuDitTest, ASessionIsTheSameAloneAndWithoutGraphs) {
  ASessionIsTheSame(cuda::Number::kF32);
  ASessionIsTheSame(cuda::Number::kBf16);
}

TEST_P(GpuDitTest, WithoutMemoryForItsRingsItIsRefused) {
  const auto dit = Open(cuda::GraphMode::kGraphs, cuda::Number::kBf16, /*slots=*/1 << 22);
  EXPECT_EQ(dit.status().code(), absl::StatusCode::kResourceExhausted) << dit.status();
}

INSTANTIATE_TEST_SUITE_P(On, GpuDitTest, AllDevices(), NameOfDevice);

}  // namespace
}  // namespace firstbyte::state_dit

// What a frame's latents should be, judged by the rays alone: the estimate that the DiT draws on.
//
// Immutable; thread-safe on distinct buffers.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "model/world/state_dit/rays.h"

namespace firstbyte::state_dit {

// The world as it is seen from some places, in the networks' terms. Sizes of one place: columns
// [4, column_features()], estimate [16, latent_channels].
class Renderer {
 public:
  struct Buffers {
    Buffers(const Config& config, int max_places);
    Rays::Buffers rays;
    std::vector<Pose> poses;
    nn::Tensor features, halves, x, y, columns, out;
  };

  Renderer() = default;
  Renderer(const Config& config, const nn::KernelTable& kernels, nn::WeightLoader* weights);

  struct Place {
    Pose pose;
    int theme;        // 0 <= theme < themes
    float* columns;   // out: the rays that each column of tokens sees; may be nullptr
    float* estimate;  // out; zeros in a world whose DiT does without (unless `always`)
  };
  // A place's result depends on that place alone. always: estimates even where the DiT does
  // without.
  void See(absl::Span<const Place> places, bool always, Buffers* buffers) const;

 private:
  void Estimate(absl::Span<const Place> places, Buffers* buffers) const;
  void ScaleAndShift(const Place& place, size_t layer, float* y) const;

  const nn::KernelTable* kernels_ = nullptr;
  Config config_{};
  Rays rays_;
  std::vector<Gated> layers_;
  nn::Linear head_;
  nn::Tensor film_;  // [themes, layers, 2, width]: scale and shift
};

}  // namespace firstbyte::state_dit

// Layers on maps, that is on pictures and their features: [height, width, channels] (see
// kernels/maps.h, also for the borders of zeros).
//
// Immutable after loading, so thread-safe on distinct outputs; no method allocates.
#pragma once

#include "absl/types/span.h"
#include "model/kernels/kernels.h"
#include "model/nn/layers.h"
#include "model/nn/tensor.h"

namespace firstbyte::nn {

// 3 x 3 convolution with zeros around.
class Conv3x3 {
 public:
  Conv3x3() = default;
  // weight [n, channels, 3, 3] as PyTorch stores it; bias [n] or empty.
  Conv3x3(const KernelTable& kernels, absl::Span<const float> weight, absl::Span<const float> bias,
          int n, int channels);

  int inputs() const { return channels_; }
  int outputs() const { return packed_.n; }
  // x [maps, height + 2, width + 2, inputs], border zero -> y [maps, height, width, outputs]
  void Forward(const float* x, int maps, int height, int width, float* y,
               Epilogue epilogue = Epilogue::kNone) const;
  // The same, with y [maps, height + 2, width + 2, outputs]: its inside is written.
  void ForwardBordered(const float* x, int maps, int height, int width, float* y,
                       Epilogue epilogue = Epilogue::kNone) const;

 private:
  const KernelTable* kernels_ = nullptr;
  Tensor panels_, bias_;
  kernels::PackedWeights packed_;
  int channels_ = 0;
};

// The same for maps of even sides, in less than half the time: Winograd's method. Outputs differ
// from Conv3x3's in the last bits.
class WinogradConv {
 public:
  WinogradConv() = default;
  // As Conv3x3.
  WinogradConv(const KernelTable& kernels, absl::Span<const float> weight,
               absl::Span<const float> bias, int n, int channels);

  int64_t scratch_floats(int height, int width) const;
  // x in a border of zeros; y in one when `bordered`.
  void Forward(const float* x, int maps, int height, int width, float* y, Epilogue epilogue,
               bool bordered, float* scratch) const;

 private:
  const KernelTable* kernels_ = nullptr;
  Tensor panels_, bias_, zeros_;
  kernels::PackedWeights products_[16];
  kernels::PackedWeights finish_;
  int channels_ = 0;
};

// Normalisation of whole maps with gain and bias by channel: GroupNorm of one group.
class MapNorm {
 public:
  MapNorm() = default;
  MapNorm(const KernelTable& kernels, absl::Span<const float> gain, absl::Span<const float> bias,
          float epsilon);

  // x [maps, height, width, channels] -> y [maps, height + 2, width + 2, channels]: its inside.
  void Forward(const float* x, int maps, int height, int width, bool silu, float* y) const;

 private:
  const KernelTable* kernels_ = nullptr;
  Tensor gain_, bias_;
  float epsilon_ = 0;
};

}  // namespace firstbyte::nn

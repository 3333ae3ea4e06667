// Layers on maps on a GPU (cuda/maps.h says how maps lie there; these have pixels Padded(channels)
// apart), in float.
//
// Immutable once made; used by their lane's thread only; errors are those of gpu.h. What they work
// on is on the device. `gpu` outlives them.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/gpu_linear.h"

namespace firstbyte::cuda {

// A bucket of maps of one size.
struct Maps {
  const int32_t* slots;  // [rows]
  int rows, height, width;

  int pixels() const { return height * width; }
};

// 3 x 3 convolution with zeros around.
class GpuConv3x3 {
 public:
  struct Shape {
    int n, channels;
    Number number = Number::kF32;  // or kTf32
    Activation activation = Activation::kNone;
    bool add = false;  // to what y holds; then there is no activation
    int most_pixels;   // of all maps of a bucket
  };

  GpuConv3x3() = default;
  // weight [n, channels, 3, 3] as PyTorch stores it; bias [n]
  static absl::StatusOr<GpuConv3x3> Create(Gpu* gpu, const Shape& shape,
                                           absl::Span<const float> weight,
                                           absl::Span<const float> bias);

  // Floats of scratch that a convolution of so many pixels needs.
  static int64_t TapFloats(int channels, int64_t pixels) { return Padded(9 * channels) * pixels; }
  // x [rows, height, width] of channels -> y, the same of n
  absl::Status Forward(Queue queue, const Maps& maps, const float* x, float* taps, float* y) const;

 private:
  Gpu* gpu_ = nullptr;
  GpuLinear product_;
  int channels_ = 0;
};

// Normalisation of whole maps with gain and bias by channel: GroupNorm of one group.
class GpuMapNorm {
 public:
  GpuMapNorm() = default;
  // gain and bias [channels]
  static absl::StatusOr<GpuMapNorm> Create(Gpu* gpu, float epsilon, absl::Span<const float> gain,
                                           absl::Span<const float> bias);

  // x [rows, height, width, channels] -> y, the same; y is not x
  absl::Status Forward(Queue queue, const Maps& maps, const float* x, float* y) const;

 private:
  Gpu* gpu_ = nullptr;
  DeviceArray<float> gain_, bias_;
  int channels_ = 0;
  float epsilon_ = 0;
};

}  // namespace firstbyte::cuda

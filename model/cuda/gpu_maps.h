// Layers on maps on a GPU (cuda/maps.h says how maps lie there; these have pixels Padded(channels)
// apart).
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

// What a convolution sees: maps, or channels of them, whose pixels may stand for scale x scale of
// its own, and besides each the session's map of the frame before (see TapsStep).
template <typename T>
struct ConvInput {
  const T* x;
  int stride = 0;           // elements from pixel to pixel; 0: Padded() of x's channels
  const T* past = nullptr;  // [slots]; half of the convolution's channels are then its
  int scale = 1;
};

// 3 x 3 convolution with zeros around, of T that is the shape's number.
class GpuConv3x3 {
 public:
  struct Shape {
    int n, channels;
    Number number = Number::kF32;
    Activation activation = Activation::kNone;
    bool add = false;  // to what y holds; then there is no activation
    int most_pixels;   // of all maps of a bucket
  };

  GpuConv3x3() = default;
  // weight [n, channels, 3, 3] as PyTorch stores it; bias [n] or empty
  static absl::StatusOr<GpuConv3x3> Create(Gpu* gpu, const Shape& shape,
                                           absl::Span<const float> weight,
                                           absl::Span<const float> bias);

  // Elements of scratch that a convolution of so many pixels needs.
  static int64_t TapFloats(int channels, int64_t pixels) { return Padded(9 * channels) * pixels; }
  // x [rows, height, width] of channels -> y, the same of n
  template <typename T>
  absl::Status Forward(Queue queue, const Maps& maps, const T* x, T* taps, T* y) const {
    return Forward(queue, maps, ConvInput<T>{x}, taps, y);
  }
  // `maps`: as y is.
  template <typename T>
  absl::Status Forward(Queue queue, const Maps& maps, const ConvInput<T>& input, T* taps,
                       T* y) const;

 private:
  Gpu* gpu_ = nullptr;
  GpuLinear product_;
  int channels_ = 0;
};

// Normalisation of whole maps of floats with gain and bias by channel: GroupNorm of one group.
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

// A causal convolution of 3 taps over time on a GPU (cuda/causal.h says how streams lie there; mel
// frames are Padded(channels) apart), in float.
//
// Used by its lane's thread only; errors are those of gpu.h. What it works on is on the device.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/gpu_linear.h"

namespace firstbyte::cuda {

// A bucket of segments of streams.
struct Streams {
  const int32_t* slots;     // [rows]
  const Segment* segments;  // [rows]
  int rows, places;

  int mels() const { return rows * places; }
};

class GpuCausalConv {
 public:
  static constexpr int kTaps = 3;

  struct Shape {
    int n, channels;
    Number number = Number::kF32;  // or kTf32
    Activation activation = Activation::kNone;
    int slots;
    int most_mels;  // Streams::mels() of the largest bucket
  };

  GpuCausalConv() = default;
  // weight [n, 3, channels], taps first; bias [n]. `gpu` outlives the layer.
  static absl::StatusOr<GpuCausalConv> Create(Gpu* gpu, const Shape& shape,
                                              absl::Span<const float> weight,
                                              absl::Span<const float> bias);

  // Floats of scratch that a convolution of so many mel frames needs.
  static int64_t TapFloats(int channels, int64_t mels) { return Padded(kTaps * channels) * mels; }
  // x [rows, places] of channels -> y, the same of n. Remembers of each stream what the next
  // segment needs.
  absl::Status Forward(Queue queue, const Streams& streams, const float* x, float* taps,
                       float* y) const;

 private:
  Gpu* gpu_ = nullptr;
  GpuLinear product_;
  DeviceArray<float> tails_;
  int channels_ = 0;
};

}  // namespace firstbyte::cuda

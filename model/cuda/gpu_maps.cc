#include "model/cuda/gpu_maps.h"

#include <utility>
#include <vector>

namespace firstbyte::cuda {

absl::StatusOr<GpuConv3x3> GpuConv3x3::Create(Gpu* gpu, const Shape& s,
                                              absl::Span<const float> weight,
                                              absl::Span<const float> bias) {
  constexpr int kTaps = 9;
  std::vector<float> by_tap(weight.size());  // [n, 3, 3, channels]
  for (int n = 0; n < s.n; ++n) {
    const int64_t row = int64_t{n} * s.channels * kTaps;
    for (int c = 0; c < s.channels; ++c) {
      for (int tap = 0; tap < kTaps; ++tap) {
        by_tap[row + tap * s.channels + c] = weight[row + c * kTaps + tap];
      }
    }
  }
  GpuConv3x3 conv;
  conv.gpu_ = gpu;
  conv.channels_ = s.channels;
  absl::Status status = Take(GpuLinear::Create(gpu,
                                               {.n = s.n,
                                                .k = kTaps * s.channels,
                                                .number = s.number,
                                                .activation = s.activation,
                                                .add = s.add,
                                                .most_rows = s.most_pixels},
                                               by_tap, bias),
                             &conv.product_);
  if (!status.ok()) return status;
  return conv;
}

template <typename T>
absl::Status GpuConv3x3::Forward(Queue queue, const Maps& maps, const ConvInput<T>& input, T* taps,
                                 T* y) const {
  const int channels = input.past == nullptr ? channels_ : channels_ / 2;
  const TapsStep<T> step = {.x = input.x,
                            .slots = maps.slots,
                            .taps = taps,
                            .rows = maps.rows,
                            .height = maps.height,
                            .width = maps.width,
                            .channels = channels,
                            .x_stride = input.stride > 0 ? input.stride : Padded(channels),
                            .taps_stride = Padded(9 * channels_),
                            .past = input.past,
                            .scale = input.scale};
  absl::Status status = gpu_->Call(KernelsOf<T>(gpu_->plugin()).taps, queue, &step);
  if (status.ok()) status = product_.Forward(queue, taps, maps.rows * maps.pixels(), y);
  return status;
}

template absl::Status GpuConv3x3::Forward(Queue, const Maps&, const ConvInput<float>&, float*,
                                          float*) const;
template absl::Status GpuConv3x3::Forward(Queue, const Maps&, const ConvInput<Bf16>&, Bf16*,
                                          Bf16*) const;

absl::StatusOr<GpuMapNorm> GpuMapNorm::Create(Gpu* gpu, float epsilon, absl::Span<const float> gain,
                                              absl::Span<const float> bias) {
  GpuMapNorm norm;
  norm.gpu_ = gpu;
  norm.channels_ = static_cast<int>(gain.size());
  norm.epsilon_ = epsilon;
  absl::Status status = Take(Upload<float>(gpu, gain), &norm.gain_);
  status.Update(Take(Upload<float>(gpu, bias), &norm.bias_));
  if (!status.ok()) return status;
  return norm;
}

absl::Status GpuMapNorm::Forward(Queue queue, const Maps& maps, const float* x, float* y) const {
  const MapNormStep<float> step = {.x = x,
                                   .gain = gain_.get(),
                                   .bias = bias_.get(),
                                   .slots = maps.slots,
                                   .y = y,
                                   .epsilon = epsilon_,
                                   .rows = maps.rows,
                                   .pixels = maps.pixels(),
                                   .channels = channels_,
                                   .stride = Padded(channels_)};
  return gpu_->Call(gpu_->plugin().f32.map_norm, queue, &step);
}

}  // namespace firstbyte::cuda

#include "model/cuda/gpu_causal.h"

namespace firstbyte::cuda {

absl::StatusOr<GpuCausalConv> GpuCausalConv::Create(Gpu* gpu, const Shape& s,
                                                    absl::Span<const float> weight,
                                                    absl::Span<const float> bias) {
  GpuCausalConv conv;
  conv.gpu_ = gpu;
  conv.channels_ = s.channels;
  absl::Status status = Take(GpuLinear::Create(gpu,
                                               {.n = s.n,
                                                .k = kTaps * s.channels,
                                                .number = s.number,
                                                .activation = s.activation,
                                                .most_rows = s.most_mels},
                                               weight, bias),
                             &conv.product_);
  const int64_t tails = int64_t{s.slots} * (kTaps - 1) * s.channels;
  status.Update(Take(gpu->NewArray<float>(tails), &conv.tails_));
  if (!status.ok()) return status;
  return conv;
}

absl::Status GpuCausalConv::Forward(Queue queue, const Streams& streams, const float* x,
                                    float* taps, float* y) const {
  const CausalTapsStep<float> step = {.x = x,
                                      .segments = streams.segments,
                                      .slots = streams.slots,
                                      .tails = tails_.get(),
                                      .taps = taps,
                                      .rows = streams.rows,
                                      .places = streams.places,
                                      .channels = channels_,
                                      .x_stride = Padded(channels_),
                                      .taps_stride = Padded(kTaps * channels_)};
  absl::Status status = gpu_->Call(gpu_->plugin().f32.causal_taps, queue, &step);
  if (status.ok()) status = product_.Forward(queue, taps, streams.mels(), y);
  return status;
}

}  // namespace firstbyte::cuda

#include "model/cuda/gpu_linear.h"

#include <algorithm>
#include <utility>

namespace firstbyte::cuda {

absl::StatusOr<GpuLinear> GpuLinear::Create(Gpu* gpu, const Shape& s,
                                            absl::Span<const float> weight,
                                            absl::Span<const float> bias) {
  GpuLinear linear;
  linear.gpu_ = gpu;
  const int k = Padded(s.k);
  std::vector<float> padded(int64_t{s.n} * k);
  for (int row = 0; row < s.n; ++row) {
    std::copy_n(weight.begin() + int64_t{row} * s.k, s.k, padded.begin() + int64_t{row} * k);
  }
  absl::StatusOr<DeviceArray<float>> on_device = Upload<float>(gpu, padded);
  if (!on_device.ok()) return on_device.status();
  linear.weight_ = *std::move(on_device);
  if (!bias.empty()) {
    on_device = Upload<float>(gpu, bias);
    if (!on_device.ok()) return on_device.status();
    linear.bias_ = *std::move(on_device);
  }
  absl::StatusOr<OwnedProduct> product =
      gpu->NewProduct({.number = s.number,
                       .bias = !bias.empty(),
                       .add = s.add,
                       .activation = s.activation,
                       .most_rows = s.most_rows,
                       .n = s.n,
                       .k = k,
                       .x_stride = k,
                       .y_stride = s.y_stride > 0 ? s.y_stride : Padded(s.n)});
  if (!product.ok()) return product.status();
  linear.product_ = *std::move(product);
  return linear;
}

absl::Status GpuLinear::Forward(Queue queue, const void* x, int rows, void* y) const {
  const ProductStep step = {x, weight_.get(), bias_.get(), y, rows};
  return gpu_->Call(gpu_->plugin().multiply, queue, product_.get(), &step);
}

}  // namespace firstbyte::cuda

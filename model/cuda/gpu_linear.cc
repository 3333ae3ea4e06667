#include "model/cuda/gpu_linear.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace firstbyte::cuda {
namespace {

template <typename T>
absl::Status CopyAs(Gpu* gpu, absl::Span<const float> values, void* to) {
  std::vector<T> rounded(values.size());
  for (size_t i = 0; i < values.size(); ++i) Store(values[i], &rounded[i]);
  return CopyTo<T>(gpu, rounded, to);
}

absl::Status CopyAs(Gpu* gpu, Number number, absl::Span<const float> values, void* to) {
  if (number == Number::kBf16) return CopyAs<Bf16>(gpu, values, to);
  if (number == Number::kF16) return CopyAs<F16>(gpu, values, to);
  return CopyTo<float>(gpu, values, to);
}

}  // namespace

absl::StatusOr<GpuLinear> GpuLinear::Create(Gpu* gpu, const Shape& shape,
                                            absl::Span<const float> weight,
                                            absl::Span<const float> bias) {
  GpuLinear linear;
  linear.gpu_ = gpu;
  absl::Status status = linear.Open(shape, !bias.empty());
  if (status.ok()) status = linear.Fill(weight, bias);
  if (!status.ok()) return status;
  return linear;
}

absl::StatusOr<GpuLinear> GpuLinear::Blank(Gpu* gpu, const Shape& shape) {
  GpuLinear linear;
  linear.gpu_ = gpu;
  absl::Status status = linear.Open(shape, /*biased=*/false);
  if (!status.ok()) return status;
  return linear;
}

absl::Status GpuLinear::Open(const Shape& s, bool biased) {
  shape_ = s;
  const int k = Padded(s.k);
  const ProductShape product = {.number = s.number,
                                .wide = s.wide,
                                .bias = biased,
                                .add = s.add,
                                .activation = s.activation,
                                .most_rows = s.most_rows,
                                .n = s.n,
                                .k = k,
                                .x_stride = k,
                                .y_stride = s.y_stride > 0 ? s.y_stride : Padded(s.n)};
  absl::Status status = Take(gpu_->NewProduct(product), &product_);
  status.Update(Take(gpu_->NewArray<char>(int64_t{BytesOf(s.number)} * s.n * k), &weights_));
  if (biased) {
    status.Update(Take(gpu_->NewArray<char>(int64_t{product.y_bytes()} * s.n), &bias_));
  }
  return status;
}

absl::Status GpuLinear::Fill(absl::Span<const float> weight, absl::Span<const float> bias) {
  const int n = shape_.n, k = shape_.k, padded_k = Padded(k);
  std::vector<float> padded(int64_t{n} * padded_k);
  for (int row = 0; row < n; ++row) {
    std::copy_n(weight.begin() + int64_t{row} * k, k, padded.begin() + int64_t{row} * padded_k);
  }
  absl::Status status = CopyAs(gpu_, shape_.number, padded, weights_.get());
  if (!status.ok() || bias.empty()) return status;
  return CopyAs(gpu_, shape_.wide ? Number::kF32 : shape_.number, bias, bias_.get());
}

absl::Status GpuLinear::Forward(Queue queue, const void* x, int rows, void* y) const {
  const ProductStep step = {x, weights_.get(), bias_.get(), y, rows};
  return gpu_->Call(gpu_->plugin().multiply, queue, product_.get(), &step);
}

absl::Status GpuLinear::Randomise(Queue queue, uint64_t seed) {
  return OfNumber(shape_.number, [&]<typename T>(T) {
    const NoiseStep<T> noise = {reinterpret_cast<T*>(weights_.get()),
                                int64_t{shape_.n} * Padded(shape_.k), seed,
                                1 / std::sqrt(static_cast<float>(shape_.k))};
    return gpu_->Call(KernelsOf<T>(gpu_->plugin()).noise, queue, &noise);
  });
}

}  // namespace firstbyte::cuda

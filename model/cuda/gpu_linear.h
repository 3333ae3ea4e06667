// A layer's weights on a GPU, with their product.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/gpu.h"

namespace firstbyte::cuda {

// Rows of a product are this many elements or a multiple, so that each begins at 16 bytes; what is
// beyond a layer's own inputs is ignored but must be finite, beyond its outputs it is not written.
inline constexpr int kRowUnit = 8;
constexpr int Padded(int elements) { return CeilDiv(elements, kRowUnit) * kRowUnit; }

// y = activation(x W' + b) in float, or y += x W' + b. Immutable once made; used by its lane's
// thread only.
class GpuLinear {
 public:
  struct Shape {
    int n, k;
    Number number = Number::kF32;  // or kTf32
    Activation activation = Activation::kNone;
    bool add = false;
    int most_rows;
    int y_stride = 0;  // elements; 0: Padded(n)
  };

  GpuLinear() = default;
  // weight [n, k]; bias [n] or empty. `gpu` outlives the layer.
  static absl::StatusOr<GpuLinear> Create(Gpu* gpu, const Shape& shape,
                                          absl::Span<const float> weight,
                                          absl::Span<const float> bias);

  // x [rows, Padded(k)] -> y [rows] rows of n, y_stride apart
  absl::Status Forward(Queue queue, const void* x, int rows, void* y) const;

 private:
  Gpu* gpu_ = nullptr;
  OwnedProduct product_;
  DeviceArray<float> weight_, bias_;
};

// `values` on the device, there when it returns. Not empty.
template <typename T>
absl::StatusOr<DeviceArray<T>> Upload(Gpu* gpu, absl::Span<const T> values) {
  absl::StatusOr<DeviceArray<T>> array = gpu->NewArray<T>(values.size());
  if (!array.ok()) return array;
  absl::Status status = gpu->Call(gpu->plugin().to_device, Queue::kSteps, array->get(),
                                  values.data(), static_cast<int64_t>(values.size() * sizeof(T)));
  status.Update(gpu->Call(gpu->plugin().wait));
  if (!status.ok()) return status;
  return array;
}

}  // namespace firstbyte::cuda

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

// What layers on floats multiply in, in a model that has others in `number`.
constexpr Number OnFloats(Number number) { return BytesOf(number) == 4 ? number : Number::kTf32; }

// y = activation(x W' + b), or y += x W' + b. x and the weights are of the shape's number; y is,
// too, or else float. Immutable once made; used by its lane's thread only.
class GpuLinear {
 public:
  struct Shape {
    int n, k;
    Number number = Number::kF32;
    bool wide = false;  // y is float whatever the number
    Activation activation = Activation::kNone;
    bool add = false;
    int most_rows;
    int y_stride = 0;  // elements; 0: Padded(n)
  };

  GpuLinear() = default;
  // weight [n, k]; bias [n] or empty; rounded to the numbers of the shape. `gpu` outlives the
  // layer.
  static absl::StatusOr<GpuLinear> Create(Gpu* gpu, const Shape& shape,
                                          absl::Span<const float> weight,
                                          absl::Span<const float> bias);
  // Its weights are zeros without a bias, until somebody writes them.
  static absl::StatusOr<GpuLinear> Blank(Gpu* gpu, const Shape& shape);

  // x [rows, Padded(k)] -> y [rows] rows of n, y_stride apart
  absl::Status Forward(Queue queue, const void* x, int rows, void* y) const;

  // [n, Padded(k)], of the shape's number.
  void* weights() const { return weights_.get(); }

 private:
  absl::Status Open(const Shape& shape, bool biased);
  absl::Status Fill(absl::Span<const float> weight, absl::Span<const float> bias);

  Gpu* gpu_ = nullptr;
  Shape shape_{};
  OwnedProduct product_;
  DeviceArray<char> weights_, bias_;
};

// Copies `values` to the device, there when it returns. `to` has room for them.
template <typename T>
absl::Status CopyTo(Gpu* gpu, absl::Span<const T> values, void* to) {
  absl::Status status = gpu->Call(gpu->plugin().to_device, Queue::kSteps, to, values.data(),
                                  static_cast<int64_t>(values.size() * sizeof(T)));
  status.Update(gpu->Call(gpu->plugin().wait));
  return status;
}

// `values` on the device, there when it returns. Not empty.
template <typename T>
absl::StatusOr<DeviceArray<T>> Upload(Gpu* gpu, absl::Span<const T> values) {
  absl::StatusOr<DeviceArray<T>> array = gpu->NewArray<T>(values.size());
  if (!array.ok()) return array;
  absl::Status status = CopyTo(gpu, values, array->get());
  if (!status.ok()) return status;
  return array;
}

}  // namespace firstbyte::cuda

#include "model/nn/tensor.h"

#include <algorithm>
#include <cstring>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

namespace firstbyte::nn {

Tensor::Tensor(const std::vector<int64_t>& shape) {
  auto tensor = std::make_shared<at::Tensor>(at::empty(shape, at::kFloat));
  data_ = tensor->data_ptr<float>();
  size_ = tensor->numel();
  // Not at::zeros: its fill would start LibTorch's thread pool, which nothing else here uses.
  std::memset(data_, 0, sizeof(float) * size_);
  storage_ = std::move(tensor);
}

Tensor Tensor::Of(const std::vector<float>& values) {
  Tensor tensor({static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.data_);
  return tensor;
}

}  // namespace firstbyte::nn

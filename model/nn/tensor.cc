#include "model/nn/tensor.h"

#include <algorithm>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <sys/mman.h>

namespace firstbyte::nn {
namespace {

// A step reads the caches of all its sessions, more 4 kB pages than the processor remembers. Only
// asks: without large pages everything works as well.
void AskForLargePages(float* data, int64_t bytes) {
  constexpr uintptr_t kLargePage = uintptr_t{2} << 20;
  const auto address = reinterpret_cast<uintptr_t>(data);
  const uintptr_t begin = (address + kLargePage - 1) / kLargePage * kLargePage;
  const uintptr_t end = (address + static_cast<uintptr_t>(bytes)) / kLargePage * kLargePage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace

Tensor::Tensor(const std::vector<int64_t>& shape) {
  auto tensor = std::make_shared<at::Tensor>(at::empty(shape, at::kFloat));
  data_ = tensor->data_ptr<float>();
  size_ = tensor->numel();
  AskForLargePages(data_, size_ * int64_t{sizeof(float)});
  // Not at::zeros: its fill would start LibTorch's thread pool, which nothing else here uses.
  std::fill_n(data_, size_, 0.0F);  // data_ may be null when there is nothing
  storage_ = std::move(tensor);
}

Tensor Tensor::Of(const std::vector<float>& values) {
  Tensor tensor({static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.data_);
  return tensor;
}

}  // namespace firstbyte::nn

#include "model/nn/tensor.h"

#include <algorithm>
#include <functional>
#include <new>
#include <numeric>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <sys/mman.h>

namespace firstbyte::nn {
namespace {

constexpr int64_t kLargePage = int64_t{2} << 20;

// A step reads the caches of all its sessions, more 4 kB pages than the processor remembers. Only
// asks: without large pages everything works as well.
void AskForLargePages(void* data, int64_t bytes) {
  const auto address = reinterpret_cast<uintptr_t>(data);
  const uintptr_t begin = (address + kLargePage - 1) / kLargePage * kLargePage;
  const uintptr_t end = (address + static_cast<uintptr_t>(bytes)) / kLargePage * kLargePage;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

// Fresh pages of the system are zeros that take no memory, and no time to clear, until they are
// written: so slots cost nothing before sessions use them.
at::Tensor LargeZeros(const std::vector<int64_t>& shape, int64_t bytes) {
  void* const pages =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  AskForLargePages(pages, bytes);
  return at::from_blob(
      pages, shape, [bytes](void* first) { munmap(first, bytes); }, at::kFloat);
}

at::Tensor SmallZeros(const std::vector<int64_t>& shape) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  // Not at::zeros: its fill would start LibTorch's thread pool, which nothing else here uses.
  std::fill_n(tensor.data_ptr<float>(), tensor.numel(), 0.0F);  // null when there is nothing
  return tensor;
}

}  // namespace

Tensor::Tensor(const std::vector<int64_t>& shape) {
  const int64_t bytes = std::accumulate(shape.begin(), shape.end(), int64_t{sizeof(float)},
                                        std::multiplies<int64_t>());
  auto tensor = std::make_shared<at::Tensor>(bytes < kLargePage ? SmallZeros(shape)
                                                                : LargeZeros(shape, bytes));
  data_ = tensor->data_ptr<float>();
  size_ = tensor->numel();
  storage_ = std::move(tensor);
}

Tensor Tensor::Of(const std::vector<float>& values) {
  Tensor tensor({static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.data_);
  return tensor;
}

}  // namespace firstbyte::nn

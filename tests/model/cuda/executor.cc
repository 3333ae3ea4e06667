#include "tests/model/cuda/executor.h"

#include <algorithm>

namespace firstbyte::cuda {

void Executor::Run(const ProductShape& shape, const ProductStep& step) {
  Product* product = nullptr;
  Expect(plugin_.new_product(device_.get(), &shape, &product, &fault_));
  if (product == nullptr) return;
  Expect(plugin_.multiply(device_.get(), Queue::kSteps, product, &step, &fault_));
  Expect(plugin_.wait(device_.get(), &fault_));
  plugin_.free_product(device_.get(), product);
}

void* Executor::PutBytes(const void* from, size_t bytes) {
  const auto count = static_cast<int64_t>(bytes);
  memory_.push_back(nullptr);
  Expect(plugin_.allocate(device_.get(), std::max<int64_t>(count, 1), &memory_.back(), &fault_));
  Expect(plugin_.to_device(device_.get(), Queue::kSteps, memory_.back(), from, count, &fault_));
  Expect(plugin_.wait(device_.get(), &fault_));
  return memory_.back();
}

void Executor::GetBytes(const void* from, void* to, size_t bytes) {
  const auto count = static_cast<int64_t>(bytes);
  Expect(plugin_.to_host(device_.get(), Queue::kSteps, to, from, count, &fault_));
  Expect(plugin_.wait(device_.get(), &fault_));
}

}  // namespace firstbyte::cuda

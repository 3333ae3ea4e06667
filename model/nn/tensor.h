// Preallocated memory of a model: weights, caches, workspaces.
//
// A Tensor is a LibTorch tensor of float32 made once, with its address taken once; layers and
// kernels work on addresses, so nothing on the step path allocates or dispatches. Copies share.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace firstbyte::nn {

class Tensor {
 public:
  Tensor() = default;
  // Zeros, row-major, 64-byte aligned. Large ones are resident only where they have been written.
  // Throws std::exception when memory is short: models allocate while they load, and loading
  // catches it.
  explicit Tensor(const std::vector<int64_t>& shape);
  static Tensor Of(const std::vector<float>& values);  // [values.size()]

  float* data() const { return data_; }
  int64_t size() const { return size_; }  // elements

 private:
  std::shared_ptr<void> storage_;
  float* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace firstbyte::nn

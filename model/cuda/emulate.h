// Runs a kernel of grid.h on the host: block after block, thread after thread.
//
// Arithmetic is that of the device, warp sums in its order included; exp, sin and cos may differ in
// the last bit. Threads can be run from the last to the first, too: a kernel whose result then
// differs lacks a barrier, or has two threads write one place.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>

#include "model/cuda/grid.h"

namespace firstbyte::cuda {

enum class ThreadOrder { kForward, kBackward };

class EmulatedBlock {
 public:
  template <typename T>
  class PerThread {
   public:
    T& operator[](int thread) { return values_[thread]; }

   private:
    std::array<T, kMaxThreads> values_{};
  };

  EmulatedBlock(const Grid& at, int threads, ThreadOrder order)
      : at(at), threads_(threads), order_(order) {}

  template <typename F>
  void Each(F f) {
    for (int i = 0; i < threads_; ++i) f(order_ == ThreadOrder::kForward ? i : threads_ - 1 - i);
  }

  // Every thread of a warp gets the sum, or the largest, of its 32 values.
  void WarpSum(PerThread<float>& values) {
    Butterfly(values, [](float a, float b) { return a + b; });
  }
  void WarpMax(PerThread<float>& values) { Butterfly(values, Max); }

  // To a place that several threads add to.
  template <typename T>
  static void Add(T* to, T value) {
    *to += value;
  }

  const Grid at;

 private:
  template <typename Op>
  void Butterfly(PerThread<float>& values, Op op) {
    for (int lane = kWarp / 2; lane > 0; lane /= 2) {
      PerThread<float> before = values;
      for (int i = 0; i < threads_; ++i) values[i] = op(before[i], before[i ^ lane]);
    }
  }

  const int threads_;
  const ThreadOrder order_;
};

template <typename Kernel>
void Emulate(const Kernel& kernel, ThreadOrder order) {
  static_assert(Kernel::kThreads % kWarp == 0 && Kernel::kThreads <= kMaxThreads);
  const Grid grid = kernel.grid();
  const int64_t blocks = int64_t{grid.x} * grid.y * grid.z;
  for (int64_t i = 0; i < blocks; ++i) {
    const auto b = static_cast<int>(order == ThreadOrder::kForward ? i : blocks - 1 - i);
    EmulatedBlock block({b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y}, Kernel::kThreads,
                        order);
    // Rubbish, so that a block that reads what it did not write is caught.
    auto shared = std::make_unique<typename Kernel::Shared>();
    std::memset(static_cast<void*>(shared.get()), 0xA5, sizeof(typename Kernel::Shared));
    kernel.Run(block, *shared);
  }
}

}  // namespace firstbyte::cuda

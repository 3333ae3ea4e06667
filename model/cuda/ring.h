// Rings whose place is data on the device: writing and counting are two kernels, because the
// blocks that write an element all read the count.
#pragma once

#include "model/cuda/steps.h"

namespace firstbyte::cuda {

template <typename T>
struct RingWrite {
  static constexpr int kThreads = 256;
  struct Shared {};

  RingWriteStep<T> step;

  Grid grid() const { return {step.rows, CeilDiv(step.width, kThreads)}; }
  bool fits() const { return step.capacity > 0 && step.width > 0; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    const int row = block.at.x, slot = step.slots[row];
    if (slot < 0) return;
    const int64_t place = step.written[slot] % step.capacity;
    T* to = step.ring + (static_cast<int64_t>(slot) * step.capacity + place) * step.width;
    block.Each([&](int t) {
      const int i = block.at.y * kThreads + t;
      if (i >= step.width) return;
      to[i] = step.from == nullptr ? T{} : step.from[static_cast<int64_t>(row) * step.width + i];
    });
  }
};

struct Advance {
  static constexpr int kThreads = 128;
  struct Shared {};

  AdvanceStep step;

  Grid grid() const { return {CeilDiv(step.rows, kThreads)}; }
  bool fits() const { return true; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    block.Each([&](int t) {
      const int row = block.at.x * kThreads + t;
      if (row < step.rows && step.slots[row] >= 0) ++step.written[step.slots[row]];
    });
  }
};

}  // namespace firstbyte::cuda

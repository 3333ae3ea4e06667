// The sum and the norm between two branches of a transformer in one pass: a block has a token.
#pragma once

#include <cmath>

#include "model/cuda/steps.h"

namespace firstbyte::cuda {

template <typename T>
struct Modulate {
  static constexpr int kThreads = 256, kWarps = kThreads / kWarp;
  struct Shared {
    float warp[kWarps];
  };

  ModulateStep<T> step;

  Grid grid() const { return {step.rows * step.tokens}; }
  bool fits() const { return step.tokens > 0 && step.width > 0; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared& s) const {
    const int row = block.at.x / step.tokens;
    if (step.slots[row] < 0) return;
    const int64_t token = static_cast<int64_t>(block.at.x) * step.width, own = row * step.stride;
    float* x = step.x + token;
    typename Block::template PerThread<float> squares;
    block.Each([&](int t) {
      float sum = 0;
      for (int i = t; i < step.width; i += kThreads) {
        if (step.branch != nullptr) {
          const float gate = step.gate == nullptr ? 1 : step.gate[own + i];
          x[i] = fmaf(gate, ToFloat(step.branch[token + i]), x[i]);
        }
        sum = fmaf(x[i], x[i], sum);
      }
      squares[t] = sum;
    });
    if (step.scale == nullptr) return;
    block.WarpSum(squares);
    block.Each([&](int t) {
      if (t % kWarp == 0) s.warp[t / kWarp] = squares[t];
    });
    block.Each([&](int t) {
      float total = 0;
      for (int w = 0; w < kWarps; ++w) total += s.warp[w];
      const float shrink = 1 / sqrtf(total / step.width + step.epsilon);
      for (int i = t; i < step.width; i += kThreads) {
        const float shift = step.shift == nullptr ? 0 : step.shift[own + i];
        const float y = x[i] * shrink * (1 + step.scale[own + i]) + shift;
        Store(y, step.y + token + i);
      }
    });
  }
};

}  // namespace firstbyte::cuda

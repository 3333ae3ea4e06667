// Decode attention over slots in two kernels: AttendSplit takes a part of the cache, AttendCombine
// puts the parts of a query together. Parts are cut by the cache's capacity, never by how full it
// is or how many sessions there are, so a session's result does not depend on its neighbours.
#pragma once

#include <cmath>

#include "model/cuda/steps.h"

namespace firstbyte::cuda {

// A score below every other; finite, so that the difference of two is a number.
inline constexpr float kNoScore = -1e30f;

template <typename T>
struct AttendSplit {
  static constexpr int kThreads = 128, kWarps = kThreads / kWarp;
  static constexpr int kMaxGroup = AttendStep<T>::kMaxGroup;
  static constexpr int kMaxHeadDim = AttendStep<T>::kMaxHeadDim;
  // Sums that a thread carries: of a group's heads, every kThreads-th element.
  static constexpr int kCarried = kMaxGroup * kMaxHeadDim / kThreads;

  struct Shared {
    float query[kMaxGroup * kMaxHeadDim];
    float weight[kMaxGroup][kThreads];  // scores of a tile of keys, then their exponentials
    float warp[kMaxGroup][kWarps];
    float largest[kMaxGroup], total[kMaxGroup], shrink[kMaxGroup];
  };
  struct Sums {
    float at[kCarried];
  };
  // A block's part of the work.
  struct Part {
    int row, head, split, slot, begin, end;
    const T *keys, *values;
  };

  AttendStep<T> step;

  Grid grid() const { return {step.rows * step.tokens, step.kv_heads, step.splits}; }
  bool fits() const {
    return step.tokens > 0 && step.kv_heads > 0 && step.heads % step.kv_heads == 0 &&
           group() >= 1 && group() <= kMaxGroup && step.head_dim > 0 && step.head_dim % 8 == 0 &&
           step.head_dim <= kMaxHeadDim && step.capacity > 0 && step.splits > 0 &&
           step.splits <= 1024;
  }
  constexpr int group() const { return step.heads / step.kv_heads; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared& s) const {
    const Part part = PartOf(block.at);
    if (part.slot < 0) return;
    typename Block::template PerThread<Sums> sums;
    block.Each([&](int t) {
      for (int i = 0; i < kCarried; ++i) sums[t].at[i] = 0;
      LoadQuery(part, t, s);
    });
    for (int tile = part.begin; tile < part.end; tile += kThreads) {
      const int count = Min(kThreads, part.end - tile);
      Weigh(block, part, tile, count, s);
      block.Each([&](int t) { Accumulate(part, tile, count, t, s, sums[t]); });
    }
    block.Each([&](int t) { Finish(part, t, s, sums[t]); });
  }

 private:
  FIRSTBYTE_DEVICE Part PartOf(const Grid& at) const {
    Part part{at.x, at.y * group(), at.z, step.slots[at.x / step.tokens], 0, 0, nullptr, nullptr};
    if (part.slot < 0) return part;
    const int size = CeilDiv(step.capacity, step.splits);
    const int later = step.causal ? step.tokens - 1 - at.x % step.tokens : 0;
    const int keys = Min(step.lengths[part.slot], step.capacity) - later;
    const int length = keys > 0 ? keys : 0;
    part.begin = Min(at.z * size, length);
    part.end = Min(part.begin + size, length);
    const int64_t cache =
        (static_cast<int64_t>(part.slot) * step.kv_heads + at.y) * step.capacity * step.head_dim;
    part.keys = step.keys + cache;
    part.values = step.values + cache;
    return part;
  }

  FIRSTBYTE_DEVICE void LoadQuery(const Part& part, int t, Shared& s) const {
    const T* query = step.queries + part.row * step.query_stride + part.head * step.head_dim;
    for (int i = t; i < group() * step.head_dim; i += kThreads) {
      s.query[i] = ToFloat(query[i]) * step.scale;
    }
    if (t < group()) {
      s.largest[t] = kNoScore;
      s.total[t] = 0;
    }
  }

  FIRSTBYTE_DEVICE void Score(const Part& part, int key, int t, Shared& s) const {
    float score[kMaxGroup] = {};
    const T* from = part.keys + static_cast<int64_t>(key) * step.head_dim;
    for (int d = 0; d < step.head_dim; d += Pack<T>::kCount) {
      const Pack<T> pack = Pack<T>::At(from + d);
      FIRSTBYTE_UNROLL
      for (int g = 0; g < kMaxGroup; ++g) {
        if (g >= group()) break;
        for (int i = 0; i < Pack<T>::kCount; ++i) {
          score[g] = fmaf(s.query[g * step.head_dim + d + i], ToFloat(pack.values[i]), score[g]);
        }
      }
    }
    FIRSTBYTE_UNROLL
    for (int g = 0; g < kMaxGroup; ++g) {
      if (g < group()) s.weight[g][t] = score[g];
    }
  }

  // Weights of a tile's keys against the largest score so far; shrink: what the sums so far are
  // multiplied with for a larger one.
  template <typename Block>
  FIRSTBYTE_DEVICE void Weigh(Block& block, const Part& part, int tile, int count,
                              Shared& s) const {
    typename Block::template PerThread<float> value;
    block.Each([&](int t) {
      if (t < count) Score(part, tile + t, t, s);
    });
    for (int g = 0; g < group(); ++g) {
      block.Each([&](int t) { value[t] = t < count ? s.weight[g][t] : kNoScore; });
      block.WarpMax(value);
      block.Each([&](int t) {
        if (t % kWarp == 0) s.warp[g][t / kWarp] = value[t];
      });
    }
    block.Each([&](int t) {
      if (t >= group()) return;
      float largest = s.largest[t];
      for (int w = 0; w < kWarps; ++w) largest = Max(largest, s.warp[t][w]);
      s.shrink[t] = expf(s.largest[t] - largest);
      s.largest[t] = largest;
    });
    for (int g = 0; g < group(); ++g) {
      block.Each([&](int t) {
        value[t] = t < count ? expf(s.weight[g][t] - s.largest[g]) : 0;
        s.weight[g][t] = value[t];
      });
      block.WarpSum(value);
      block.Each([&](int t) {
        if (t % kWarp == 0) s.warp[g][t / kWarp] = value[t];
      });
    }
    block.Each([&](int t) {
      if (t >= group()) return;
      float total = s.total[t] * s.shrink[t];
      for (int w = 0; w < kWarps; ++w) total += s.warp[t][w];
      s.total[t] = total;
    });
  }

  FIRSTBYTE_DEVICE void Accumulate(const Part& part, int tile, int count, int t, const Shared& s,
                                   Sums& sums) const {
    FIRSTBYTE_UNROLL
    for (int i = 0; i < kCarried; ++i) {
      const int e = t + i * kThreads, g = e / step.head_dim, d = e % step.head_dim;
      if (g >= group()) break;
      const T* from = part.values + static_cast<int64_t>(tile) * step.head_dim + d;
      float sum = sums.at[i] * s.shrink[g];
      for (int j = 0; j < count; ++j) {
        sum = fmaf(s.weight[g][j], ToFloat(from[static_cast<int64_t>(j) * step.head_dim]), sum);
      }
      sums.at[i] = sum;
    }
  }

  FIRSTBYTE_DEVICE void Finish(const Part& part, int t, const Shared& s, const Sums& sums) const {
    const int64_t first = static_cast<int64_t>(part.row) * step.heads + part.head;
    FIRSTBYTE_UNROLL
    for (int i = 0; i < kCarried; ++i) {
      const int e = t + i * kThreads;
      if (e >= group() * step.head_dim) break;
      const int64_t at = (first + e / step.head_dim) * step.splits + part.split;
      step.partials[at * step.head_dim + e % step.head_dim] = sums.at[i];
    }
    if (t < group()) {
      float* extremes = step.extremes + ((first + t) * step.splits + part.split) * 2;
      extremes[0] = s.largest[t];
      extremes[1] = s.total[t];
    }
  }
};

template <typename T>
struct AttendCombine {
  static constexpr int kThreads = 128;
  struct Shared {
    float largest, total;
  };

  AttendStep<T> step;

  Grid grid() const { return {step.rows * step.tokens, step.heads}; }
  bool fits() const { return AttendSplit<T>{step}.fits(); }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared& s) const {
    if (step.slots[block.at.x / step.tokens] < 0) return;
    const int64_t query = static_cast<int64_t>(block.at.x) * step.heads + block.at.y;
    const float* extremes = step.extremes + query * step.splits * 2;
    const float* partials = step.partials + query * step.splits * step.head_dim;
    block.Each([&](int t) {
      if (t > 0) return;
      s.largest = kNoScore;
      s.total = 0;
      for (int i = 0; i < step.splits; ++i) s.largest = Max(s.largest, extremes[2 * i]);
      for (int i = 0; i < step.splits; ++i) {
        s.total += extremes[2 * i + 1] * expf(extremes[2 * i] - s.largest);
      }
    });
    block.Each([&](int t) {
      for (int d = t; d < step.head_dim; d += kThreads) {
        float sum = 0;
        for (int i = 0; i < step.splits; ++i) {
          const float share = expf(extremes[2 * i] - s.largest);
          sum = fmaf(partials[static_cast<int64_t>(i) * step.head_dim + d], share, sum);
        }
        Store(s.total > 0 ? sum / s.total : 0, step.out + query * step.head_dim + d);
      }
    });
  }
};

}  // namespace firstbyte::cuda

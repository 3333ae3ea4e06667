// Between the product that makes q, k and v and the attention over the cache: one pass over memory.
// A warp has a head; the cosines of a token are computed once for the heads of a block.
#pragma once

#include <cmath>

#include "model/cuda/steps.h"

namespace firstbyte::cuda {

// An angle less whole turns, which go in double: in float, a long session would lose the angle's
// last digits.
FIRSTBYTE_DEVICE inline float Turned(double angle) {
  constexpr double kTurn = 6.283185307179586;
  return static_cast<float>(angle - rint(angle / kTurn) * kTurn);
}

template <typename T>
struct Heads {
  static constexpr int kThreads = 128, kWarps = kThreads / kWarp;
  static constexpr int kMaxPairs = HeadsStep<T>::kMaxHeadDim / 2;
  static constexpr int kCarried = kMaxPairs / kWarp;  // pairs of a thread

  struct Shared {
    float cosines[kMaxPairs], sines[kMaxPairs];
  };
  struct Pairs {
    float a[kCarried], b[kCarried];
  };

  HeadsStep<T> step;

  Grid grid() const { return {step.rows * step.tokens, CeilDiv(all_heads(), kWarps)}; }
  bool fits() const {
    return step.tokens > 0 && step.heads > 0 && step.kv_heads > 0 && step.head_dim > 0 &&
           step.head_dim % 2 == 0 && step.head_dim <= HeadsStep<T>::kMaxHeadDim &&
           step.capacity >= step.tokens;
  }
  constexpr int all_heads() const { return step.heads + 2 * step.kv_heads; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared& s) const {
    const int token = block.at.x % step.tokens, slot = step.slots[block.at.x / step.tokens];
    if (slot < 0) return;
    T* row = step.qkv + static_cast<int64_t>(block.at.x) * all_heads() * step.head_dim;
    const int first = block.at.y * kWarps;
    typename Block::template PerThread<Pairs> pairs;
    typename Block::template PerThread<float> squares;
    block.Each([&](int t) {
      for (int p = t; p < half(); p += kThreads) Angle(slot, token, p, s);
      squares[t] = Load(row, first + t / kWarp, t % kWarp, pairs[t]);
    });
    block.WarpSum(squares);
    block.Each([&](int t) {
      const int head = first + t / kWarp;
      if (head < all_heads()) Finish(slot, token, head, t % kWarp, squares[t], s, row, pairs[t]);
    });
  }

 private:
  constexpr int half() const { return step.head_dim / 2; }

  FIRSTBYTE_DEVICE void Angle(int slot, int token, int pair, Shared& s) const {
    double angle = static_cast<double>(step.positions[slot]) * step.frequencies[pair];
    if (step.offsets != nullptr) angle += step.offsets[token * half() + pair];
    const float turned = Turned(angle);
    s.cosines[pair] = cosf(turned);
    s.sines[pair] = sinf(turned);
  }

  // Places of a pair before it turns; after, they are pair and half + pair.
  FIRSTBYTE_DEVICE int First(int pair) const { return step.interleaved ? 2 * pair : pair; }
  FIRSTBYTE_DEVICE int Second(int pair) const { return First(pair) + Partner(); }
  FIRSTBYTE_DEVICE int Partner() const { return step.interleaved ? 1 : half(); }

  // Returns the sum of their squares.
  FIRSTBYTE_DEVICE float Load(const T* row, int head, int lane, Pairs& pairs) const {
    float squares = 0;
    if (head >= all_heads()) return squares;
    const T* x = row + head * step.head_dim;
    FIRSTBYTE_UNROLL
    for (int i = 0; i < kCarried; ++i) {
      const int pair = lane + i * kWarp;
      if (pair >= half()) break;
      pairs.a[i] = ToFloat(x[First(pair)]);
      pairs.b[i] = ToFloat(x[Second(pair)]);
      squares = fmaf(pairs.a[i], pairs.a[i], fmaf(pairs.b[i], pairs.b[i], squares));
    }
    return squares;
  }

  FIRSTBYTE_DEVICE T* InCache(T* cache, int slot, int token, int head) const {
    const int place = (step.places[slot] + token) % step.capacity;
    const int64_t row = static_cast<int64_t>(slot) * step.kv_heads + head;
    return cache + (row * step.capacity + place) * step.head_dim;
  }

  FIRSTBYTE_DEVICE float Mixed(float value, int64_t at) const {
    return step.mixed == nullptr ? value : fmaf(step.mix, ToFloat(step.mixed[at]) - value, value);
  }

  FIRSTBYTE_DEVICE void Finish(int slot, int token, int head, int lane, float squares,
                               const Shared& s, T* row, const Pairs& pairs) const {
    const int key = head - step.heads, value = key - step.kv_heads;
    T* to = key < 0     ? row + head * step.head_dim
            : value < 0 ? InCache(step.keys, slot, token, key)
                        : InCache(step.values, slot, token, value);
    const float* gain = key < 0 ? step.query_gain : step.key_gain;
    const bool normal = value < 0 && gain != nullptr;
    const float scale = normal ? 1 / sqrtf(squares / step.head_dim + step.epsilon) : 1;
    FIRSTBYTE_UNROLL
    for (int i = 0; i < kCarried; ++i) {
      const int pair = lane + i * kWarp;
      if (pair >= half()) break;
      if (value >= 0) {  // as it is
        const int64_t at = row - step.qkv + head * step.head_dim;
        Store(Mixed(pairs.a[i], at + First(pair)), to + First(pair));
        Store(Mixed(pairs.b[i], at + Second(pair)), to + Second(pair));
        continue;
      }
      const float a = pairs.a[i] * scale * (normal ? gain[First(pair)] : 1);
      const float b = pairs.b[i] * scale * (normal ? gain[Second(pair)] : 1);
      Store(a * s.cosines[pair] - b * s.sines[pair], to + pair);
      Store(b * s.cosines[pair] + a * s.sines[pair], to + half() + pair);
    }
  }
};

}  // namespace firstbyte::cuda

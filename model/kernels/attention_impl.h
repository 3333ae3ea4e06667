// Rotary positions and attention over a ring of the last `window` frames. Private to model/kernels.
#pragma once

#include "model/kernels/kernels.h"
#include "model/kernels/vec_math.h"

namespace firstbyte::kernels {
namespace {

constexpr int kHalf = kHeadDim / 2;
constexpr int kMaxWindow = 128;

void RopeTable(const int32_t* positions, const double* frequencies, int m, float* cosines,
               float* sines) {
  const double turn = 6.283185307179586, magic = 6755399441055744.0;
  for (int r = 0; r < m; ++r) {
    float angles[kHalf];
    for (int i = 0; i < kHalf; ++i) {
      // Whole turns go in double: in float, a long clause would lose the angle's last digits.
      double angle = positions[r] * frequencies[i];
      double turns = (angle / turn + magic) - magic;
      angles[i] = static_cast<float>(angle - turns * turn);
    }
    for (int i = 0; i < kHalf; i += kLanes) {
      SinCosResult t = SinCos(Load(angles + i));
      Store(cosines + r * kHalf + i, t.cos);
      Store(sines + r * kHalf + i, t.sin);
    }
  }
}

// Half-split layout: element i turns with element i + 32.
inline void Rotate(const float* cosines, const float* sines, float* x) {
  for (int i = 0; i < kHalf; i += kLanes) {
    F a = Load(x + i), b = Load(x + kHalf + i), c = Load(cosines + i), s = Load(sines + i);
    Store(x + i, Fma(a, c, -(b * s)));
    Store(x + kHalf + i, Fma(b, c, a * s));
  }
}

// To the second level: into the first, four times as slow when rings are in memory, because it can
// wait for few lines at once.
inline void PrefetchToL2(const float* p) { __builtin_prefetch(p, 0, 2); }

// scores[j] = q . k_j / 8 for every ring place; those not yet written are overwritten by the mask.
// Meanwhile `next`, the keys of the next head, come nearer: rings of many sessions are in memory.
inline void Scores(const float* q, const float* keys, const float* next, int window, int length,
                   float* scores) {
  for (int j = 0; j < window; j += kLanes) {
    F even = {}, odd = {};
    for (int d = 0; d < kHeadDim; d += 2) {
      PrefetchToL2(next + d * window + j);
      PrefetchToL2(next + (d + 1) * window + j);
      even = Fma(Set(q[d]), Load(keys + d * window + j), even);
      odd = Fma(Set(q[d + 1]), Load(keys + (d + 1) * window + j), odd);
    }
    Store(scores + j, (even + odd) * Set(0.125f));
  }
  for (int j = length; j < window; ++j) scores[j] = -1e30f;
}

inline void Softmax(int window, float* scores) {
  F max = Load(scores);
  for (int j = kLanes; j < window; j += kLanes) max = Max(max, Load(scores + j));
  float lanes[kLanes];
  Store(lanes, max);
  float top = lanes[0];
  for (int i = 1; i < kLanes; ++i) top = lanes[i] > top ? lanes[i] : top;
  F sum = {};
  for (int j = 0; j < window; j += kLanes) {
    F e = Exp(Load(scores + j) - Set(top));
    sum = sum + e;
    Store(scores + j, e);
  }
  F scale = Set(1.0f / Sum(sum));
  for (int j = 0; j < window; j += kLanes) Store(scores + j, Load(scores + j) * scale);
}

inline void Mix(const float* weights, const float* values, const float* next, int length,
                float* out) {
  F acc[kHeadDim / kLanes] = {};
  for (int j = 0; j < length; ++j) {
    F p = Set(weights[j]);
    for (int i = 0; i < kHeadDim / kLanes; ++i) {
      PrefetchToL2(next + j * kHeadDim + i * kLanes);
      acc[i] = Fma(p, Load(values + j * kHeadDim + i * kLanes), acc[i]);
    }
  }
  for (int i = 0; i < kHeadDim / kLanes; ++i) Store(out + i * kLanes, acc[i]);
}

void Attention(const AttentionStep& step) {
  const int width = step.heads * kHeadDim, window = step.window;
  float scores[kMaxWindow];
  for (int r = 0; r < step.rows; ++r) {
    float* q = step.qkv + static_cast<int64_t>(r) * 3 * width;
    const int position = step.positions[r], place = position % window;
    const int length = position < window ? position + 1 : window;
    for (int h = 0; h < step.heads; ++h) {
      float *qh = q + h * kHeadDim, *kh = qh + width, *vh = kh + width;
      float* keys = step.key_rings[r] + h * kHeadDim * window;
      float* values = step.value_rings[r] + h * kHeadDim * window;
      Rotate(step.cosines + r * kHalf, step.sines + r * kHalf, qh);
      Rotate(step.cosines + r * kHalf, step.sines + r * kHalf, kh);
      for (int d = 0; d < kHeadDim; ++d) keys[d * window + place] = kh[d];
      __builtin_memcpy(values + place * kHeadDim, vh, sizeof(float) * kHeadDim);
      const bool last = h + 1 == step.heads;
      const int row = last && r + 1 < step.rows ? r + 1 : r, head = last ? 0 : h + 1;
      Scores(qh, keys, step.key_rings[row] + head * kHeadDim * window, window, length, scores);
      Softmax(window, scores);
      Mix(scores, values, step.value_rings[row] + head * kHeadDim * window, length,
          step.out + static_cast<int64_t>(r) * width + h * kHeadDim);
    }
  }
}

}  // namespace
}  // namespace firstbyte::kernels

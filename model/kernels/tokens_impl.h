// What a transformer block does to tokens between its matrix products. Private to model/kernels.
#pragma once

#include "model/kernels/attention_impl.h"
#include "model/kernels/tokens.h"

namespace firstbyte::kernels {
namespace {

// 1 / sqrt(mean of squares + epsilon)
inline F RmsScale(const float* x, int n, float epsilon) {
  F squares = {};
  Map(n, [&](int64_t i, int count) {
    F v = LoadPart(x + i, count);
    squares = Fma(v, v, squares);
  });
  return Set(1.0f / __builtin_sqrtf(Sum(squares) / static_cast<float>(n) + epsilon));
}

void Modulate(const ModulateStep& step) {
  const float* x = step.x;
  float* y = step.y;
  for (int s = 0; s < step.sessions; ++s) {
    const float *shift = step.shift + s * step.stride, *scale = step.scale + s * step.stride;
    for (int t = 0; t < step.tokens; ++t, x += step.width, y += step.width) {
      const F rms = RmsScale(x, step.width, step.epsilon);
      Map(step.width, [&](int64_t i, int n) {
        F v = LoadPart(x + i, n) * rms;
        F by = Set(1.0f) + LoadPart(scale + i, n);
        StorePart(y + i, Fma(v, by, LoadPart(shift + i, n)), n);
      });
    }
  }
}

void Gate(const GateStep& step) {
  float* x = step.x;
  const float* y = step.y;
  for (int s = 0; s < step.sessions; ++s) {
    const float* gate = step.gate + s * step.stride;
    for (int t = 0; t < step.tokens; ++t, x += step.width, y += step.width) {
      Map(step.width, [&](int64_t i, int n) {
        StorePart(x + i, Fma(LoadPart(gate + i, n), LoadPart(y + i, n), LoadPart(x + i, n)), n);
      });
    }
  }
}

inline void NormAndRotate(const float* gain, float epsilon, const float* cosines,
                          const float* sines, float* x) {
  const F scale = RmsScale(x, kHeadDim, epsilon);
  for (int i = 0; i < kHeadDim; i += kLanes) Store(x + i, Load(x + i) * scale * Load(gain + i));
  Rotate(cosines, sines, x);
}

void Heads(const HeadsStep& step) {
  const int width = step.heads * kHeadDim, capacity = step.capacity;
  for (int row = 0; row < step.sessions * step.tokens; ++row) {
    const int s = row / step.tokens, place = step.places[s] + row % step.tokens;
    const float *c = step.cosines + row * kHalf, *si = step.sines + row * kHalf;
    for (int h = 0; h < step.heads; ++h) {
      float* q = step.qkv + static_cast<int64_t>(row) * 3 * width + h * kHeadDim;
      float *k = q + width, *v = k + width;
      NormAndRotate(step.query_gain, step.epsilon, c, si, q);
      NormAndRotate(step.key_gain, step.epsilon, c, si, k);
      float* keys = step.keys[s] + static_cast<int64_t>(h) * kHeadDim * capacity + place;
      for (int d = 0; d < kHeadDim; ++d) keys[static_cast<int64_t>(d) * capacity] = k[d];
      __builtin_memcpy(step.values[s] + (static_cast<int64_t>(h) * capacity + place) * kHeadDim, v,
                       sizeof(float) * kHeadDim);
    }
  }
}

}  // namespace
}  // namespace firstbyte::kernels

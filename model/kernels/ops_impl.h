// Row-wise kernels: normalisation, gates, elementwise functions. Private to model/kernels.
#pragma once

#include "model/kernels/kernels.h"
#include "model/kernels/vec_math.h"

namespace firstbyte::kernels {
namespace {

void RmsNorm(const float* x, const float* gain, float eps, int m, int n, float* y) {
  for (int r = 0; r < m; ++r, x += n, y += n) {
    F squares = {};
    Map(n, [&](int64_t i, int count) {
      F v = LoadPart(x + i, count);
      squares = Fma(v, v, squares);
    });
    F scale = Set(1.0f / __builtin_sqrtf(Sum(squares) / static_cast<float>(n) + eps));
    Map(n, [&](int64_t i, int count) {
      StorePart(y + i, LoadPart(x + i, count) * scale * LoadPart(gain + i, count), count);
    });
  }
}

void Swiglu(const float* x, int m, int n, float* y) {
  for (int r = 0; r < m; ++r, x += 2 * n, y += n) {
    Map(n, [&](int64_t i, int count) {
      StorePart(y + i, Silu(LoadPart(x + i, count)) * LoadPart(x + n + i, count), count);
    });
  }
}

void TanhGate(const float* x, int m, int n, float* y) {
  for (int r = 0; r < m; ++r, x += 2 * n, y += n) {
    Map(n, [&](int64_t i, int count) {
      StorePart(y + i, Tanh(LoadPart(x + i, count)) * Sigmoid(LoadPart(x + n + i, count)), count);
    });
  }
}

void SiluRow(const float* x, int64_t n, float* y) {
  Map(n, [&](int64_t i, int count) { StorePart(y + i, Silu(LoadPart(x + i, count)), count); });
}

void Add(const float* x, int64_t n, float* y) {
  Map(n, [&](int64_t i, int count) {
    StorePart(y + i, LoadPart(y + i, count) + LoadPart(x + i, count), count);
  });
}

void ExpRow(const float* x, int64_t n, float* y) {
  Map(n, [&](int64_t i, int count) { StorePart(y + i, Exp(LoadPart(x + i, count)), count); });
}

void SinCosRow(const float* x, int64_t n, float* sines, float* cosines) {
  Map(n, [&](int64_t i, int count) {
    SinCosResult r = SinCos(LoadPart(x + i, count));
    StorePart(sines + i, r.sin, count);
    StorePart(cosines + i, r.cos, count);
  });
}

}  // namespace
}  // namespace firstbyte::kernels

// 3 x 3 convolutions and their normalisation. Private to model/kernels.
#pragma once

#include "model/kernels/linear_impl.h"
#include "model/kernels/maps.h"

namespace firstbyte::kernels {
namespace {

// kRows neighbouring pixels x kVecs vectors of outputs. K goes row of taps by row of taps, each one
// run of 3 * channels floats.
template <int kRows, int kVecs>
inline void ConvTile(const ConvStep& step, const float* x, float* y, int column) {
  const int channels = step.channels, run = 3 * channels;
  const int64_t line = static_cast<int64_t>(step.width + 2) * channels;
  const float* w = step.weights->panels +
                   static_cast<int64_t>(column / kPanel) * step.weights->k * kPanel +
                   column % kPanel;
  F acc[kRows][kVecs];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVecs; ++v) acc[r][v] = F{};
  }
  for (int dy = 0; dy < 3; ++dy, x += line) {
    for (int i = 0; i < run; ++i, w += kPanel) {
      F wv[kVecs];
#pragma GCC unroll 8
      for (int v = 0; v < kVecs; ++v) wv[v] = Load(w + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        F xv = Set(x[r * channels + i]);
#pragma GCC unroll 8
        for (int v = 0; v < kVecs; ++v) acc[r][v] = Fma(xv, wv[v], acc[r][v]);
      }
    }
  }
  const LinearCall call{*step.weights, 0, y, step.weights->n, step.epilogue};
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVecs; ++v) {
      Finish(call, acc[r][v], column + v * kLanes, y + static_cast<int64_t>(r) * step.weights->n);
    }
  }
}

template <int kVecs>
inline void ConvLine(const ConvStep& step, const float* x, float* y, int column) {
  // 16 vector registers hold 6 x 2 accumulators, 32 hold 12 x 2; map widths are powers of two.
  constexpr int kTilePixels = kLanes == 16 ? 8 : 4;
  const int n = step.weights->n;
  int p = 0;
  for (; p + kTilePixels <= step.width; p += kTilePixels) {
    ConvTile<kTilePixels, kVecs>(step, x + p * step.channels, y + p * n, column);
  }
  for (; p + 4 <= step.width; p += 4) {
    ConvTile<4, kVecs>(step, x + p * step.channels, y + p * n, column);
  }
  for (; p < step.width; ++p) {
    ConvTile<1, kVecs>(step, x + p * step.channels, y + p * n, column);
  }
}

void Conv3x3(const ConvStep& step) {
  const int64_t in_line = static_cast<int64_t>(step.width + 2) * step.channels;
  const int border = step.bordered ? 1 : 0;
  const int64_t out_line = static_cast<int64_t>(step.width + 2 * border) * step.weights->n;
  // Columns outside: a panel of weights is read from memory once for all maps.
  for (int column = 0; column < step.weights->n; column += 2 * kLanes) {
    const bool both = step.weights->n - column > kLanes;
    for (int map = 0; map < step.maps; ++map) {
      for (int line = 0; line < step.height; ++line) {
        const float* x = step.x + (static_cast<int64_t>(map) * (step.height + 2) + line) * in_line;
        float* y =
            step.y + border * step.weights->n +
            (static_cast<int64_t>(map) * (step.height + 2 * border) + line + border) * out_line;
        if (both) {
          ConvLine<2>(step, x, y, column);
        } else {
          ConvLine<1>(step, x, y, column);
        }
      }
    }
  }
}

// Mean, then 1 / sqrt(variance + epsilon), of count values.
inline void Moments(const float* x, int64_t count, float epsilon, float* mean, float* scale) {
  F sum = {};
  Map(count, [&](int64_t i, int n) { sum = sum + LoadPart(x + i, n); });
  *mean = Sum(sum) / static_cast<float>(count);
  F squares = {};
  Map(count, [&](int64_t i, int n) {
    F d = LoadPart(x + i, n) - Set(*mean);
    if (n < kLanes) {  // the padding of the last vector is no value
      float lanes[kLanes] = {};
      StorePart(lanes, d, n);
      d = Load(lanes);
    }
    squares = Fma(d, d, squares);
  });
  *scale = 1.0f / __builtin_sqrtf(Sum(squares) / static_cast<float>(count) + epsilon);
}

void MapNorm(const MapNormStep& step) {
  const int channels = step.channels;
  const int64_t size = static_cast<int64_t>(step.height) * step.width * channels;
  const float* x = step.x;
  for (int map = 0; map < step.maps; ++map) {
    float mean, scale;
    Moments(x, size, step.epsilon, &mean, &scale);
    for (int line = 0; line < step.height; ++line) {
      float* y =
          step.y +
          ((static_cast<int64_t>(map) * (step.height + 2) + line + 1) * (step.width + 2) + 1) *
              channels;
      for (int p = 0; p < step.width; ++p, x += channels, y += channels) {
        Map(channels, [&](int64_t i, int n) {
          F v = (LoadPart(x + i, n) - Set(mean)) * Set(scale);
          v = Fma(v, LoadPart(step.gain + i, n), LoadPart(step.bias + i, n));
          StorePart(y + i, step.silu ? Silu(v) : v, n);
        });
      }
    }
  }
}

}  // namespace
}  // namespace firstbyte::kernels

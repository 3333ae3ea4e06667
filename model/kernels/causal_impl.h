// Causal convolutions of 3 taps over time by Winograd's F(4, 3): 4 rows take 6 products for each
// pair of channels instead of 12. Private to model/kernels.
//
// See Lavin and Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016), section 5.1,
// in one dimension. Weights stay as they are packed and a panel of them is transformed where it is
// used: six times as many floats would have to come from the third-level cache instead.
#pragma once

#include "model/kernels/causal.h"
#include "model/kernels/linear_impl.h"

namespace firstbyte::kernels {
namespace {

constexpr int kProducts = kCausalInputs;
// Up to so many, transforming a panel for each tile costs less than writing it down.
constexpr int kFewTiles = 4;

// Three taps of a weight -> the factors of the six products.
inline void TransformTaps(F g0, F g1, F g2, F u[kProducts]) {
  const F sixth = Set(-1.0f / 6), twelfth = Set(1.0f / 12), twentyfourth = Set(1.0f / 24);
  F even = (g0 + g2) * sixth, odd = g1 * sixth;
  u[0] = g0 * Set(0.25f);
  u[1] = even + odd;
  u[2] = even - odd;
  even = Fma(g0, twentyfourth, -(g2 * sixth));
  odd = g1 * twelfth;
  u[3] = even + odd;
  u[4] = even - odd;
  u[5] = g2;
}

// Six rows, the oldest first -> the other factors.
inline void TransformRows(const F d[kProducts], F v[kProducts]) {
  const F two = Set(2.0f), four = Set(4.0f), five = Set(-5.0f);
  v[0] = Fma(four, d[0], Fma(five, d[2], d[4]));
  v[1] = Fma(-four, d[1] + d[2], d[3] + d[4]);
  v[2] = Fma(four, d[1] - d[2], d[4] - d[3]);
  v[3] = Fma(two, d[3] - d[1], d[4] - d[2]);
  v[4] = Fma(two, d[1] - d[3], d[4] - d[2]);
  v[5] = Fma(four, d[1], Fma(five, d[3], d[5]));
}

// Sums of the six products -> four rows.
inline void CollectRows(const F m[kProducts], F y[kCausalRows]) {
  F sum = m[1] + m[2], difference = m[1] - m[2];
  F far_sum = m[3] + m[4], far_difference = m[3] - m[4];
  y[0] = m[0] + sum + far_sum;
  y[1] = Fma(Set(2.0f), far_difference, difference);
  y[2] = Fma(Set(4.0f), far_sum, sum);
  y[3] = Fma(Set(8.0f), far_difference, difference) + m[5];
}

// factors: [6][tiles][channels]
inline void TransformTiles(const CausalStep& step, int channels, float* factors) {
  const int64_t plane = static_cast<int64_t>(step.tiles) * channels;
  for (int tile = 0; tile < step.tiles; ++tile, factors += channels) {
    const float* const* rows = step.rows + tile * kProducts;
    Map(channels, [&](int64_t i, int count) {
      F d[kProducts], v[kProducts];
      for (int r = 0; r < kProducts; ++r) d[r] = LoadPart(rows[r] + i, count);
      TransformRows(d, v);
      for (int p = 0; p < kProducts; ++p) StorePart(factors + p * plane + i, v[p], count);
    });
  }
}

// The factors of two vectors of columns for one channel.
template <typename W>
inline void TransformPair(const W* panel, int channels, int channel, F a[kProducts],
                          F b[kProducts]) {
  F ga[3], gb[3];
  for (int tap = 0; tap < 3; ++tap) {
    LoadPair(panel + (tap * channels + channel) * kPanel, &ga[tap], &gb[tap]);
  }
  TransformTaps(ga[0], ga[1], ga[2], a);
  TransformTaps(gb[0], gb[1], gb[2], b);
}

// One tile of rows: a panel is transformed and used in registers. sums: [6][tiles][32]
template <typename W>
inline void OneTile(const W* panel, const float* factors, int channels, int tile, int tiles,
                    float* sums) {
  for (int column = 0; column < kPanel; column += 2 * kLanes) {
    F a[kProducts] = {}, b[kProducts] = {};
    for (int c = 0; c < channels; ++c) {
      F ua[kProducts], ub[kProducts];
      TransformPair(panel + column, channels, c, ua, ub);
      for (int p = 0; p < kProducts; ++p) {
        F v = Set(factors[(p * tiles + tile) * channels + c]);
        a[p] = Fma(v, ua[p], a[p]);
        b[p] = Fma(v, ub[p], b[p]);
      }
    }
    for (int p = 0; p < kProducts; ++p) {
      float* to = sums + (p * tiles + tile) * kPanel + column;
      Store(to, a[p]);
      Store(to + kLanes, b[p]);
    }
  }
}

// Many tiles: a panel is transformed once, and each product is one of matrices. sums:
// [6][tiles][32]
template <typename W>
inline void ManyTiles(const W* panel, const float* factors, int channels, int tiles,
                      const float* zeros, float* transformed, float* sums) {
  const int64_t size = static_cast<int64_t>(channels) * kPanel;
  for (int c = 0; c < channels; ++c) {
    for (int column = 0; column < kPanel; column += 2 * kLanes) {
      F a[kProducts], b[kProducts];
      TransformPair(panel + column, channels, c, a, b);
      float* to = transformed + c * kPanel + column;
      for (int p = 0; p < kProducts; ++p) {
        Store(to + p * size, a[p]);
        Store(to + p * size + kLanes, b[p]);
      }
    }
  }
  for (int p = 0; p < kProducts; ++p) {
    const PackedWeights weights{transformed + p * size, zeros, kPanel, channels};
    Linear(weights, factors + static_cast<int64_t>(p) * tiles * channels, channels, tiles,
           sums + p * tiles * kPanel, kPanel, Epilogue::kNone);
  }
}

template <typename W>
inline void CausalPanels(const CausalStep& step, const W* panels) {
  const int channels = step.weights->k / 3, n = step.weights->n, tiles = step.tiles;
  float* factors = step.scratch;
  float* transformed = factors + static_cast<int64_t>(kProducts) * tiles * channels;
  float* sums = transformed + static_cast<int64_t>(kProducts) * channels * kPanel;
  float* zeros = sums + static_cast<int64_t>(kProducts) * tiles * kPanel;
  __builtin_memset(zeros, 0, sizeof(float) * kPanel);
  TransformTiles(step, channels, factors);
  const LinearCall call{*step.weights, 0, step.y, n, step.epilogue};
  for (int first = 0; first < n; first += kPanel) {
    const W* panel = panels + static_cast<int64_t>(first) * step.weights->k;
    if (tiles <= kFewTiles) {
      for (int tile = 0; tile < tiles; ++tile) OneTile(panel, factors, channels, tile, tiles, sums);
    } else {
      ManyTiles(panel, factors, channels, tiles, zeros, transformed, sums);
    }
    for (int tile = 0; tile < tiles; ++tile) {
      float* y = step.y + static_cast<int64_t>(tile) * kCausalRows * n;
      for (int column = 0; column < kPanel; column += kLanes) {
        F m[kProducts], rows[kCausalRows];
        for (int p = 0; p < kProducts; ++p) {
          m[p] = Load(sums + (p * tiles + tile) * kPanel + column);
        }
        CollectRows(m, rows);
        for (int r = 0; r < kCausalRows; ++r) Finish(call, rows[r], first + column, y + r * n);
      }
    }
  }
}

void Causal(const CausalStep& step) {
  if (step.weights->narrow != nullptr) {
    CausalPanels(step, step.weights->narrow);
  } else {
    CausalPanels(step, step.weights->panels);
  }
}

}  // namespace
}  // namespace firstbyte::kernels

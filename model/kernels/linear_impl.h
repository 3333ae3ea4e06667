// y = x W' + b on packed weights. Private to model/kernels.
//
// A tile keeps kRows x kVecs accumulators in registers and walks k once. One row takes several
// panels at a time: a lone chain of multiply-adds would wait for its own latency. Every tile shape
// does the same operations per element in the same order.
#pragma once

#include "model/kernels/kernels.h"
#include "model/kernels/vec_math.h"

namespace firstbyte::kernels {
namespace {

inline void PanelsOf(const PackedWeights& weights, const float** panels) {
  *panels = weights.panels;
}
inline void PanelsOf(const PackedWeights& weights, const uint16_t** panels) {
  *panels = weights.narrow;
}

struct LinearCall {
  const PackedWeights& weights;
  int64_t ldx;
  float* y;
  int64_t ldy;
  Epilogue epilogue;
};

inline void Finish(const LinearCall& call, F acc, int column, float* y) {
  int count = call.weights.n - column;
  if (count <= 0) return;
  if (count > kLanes) count = kLanes;
  acc = acc + Load(call.weights.bias + column);
  if (call.epilogue == Epilogue::kSilu) acc = Silu(acc);
  if (call.epilogue == Epilogue::kReluSquared) {
    acc = Max(acc, F{});
    acc = acc * acc;
  }
  if (call.epilogue == Epilogue::kAdd) acc = LoadPart(y + column, count) + acc;
  StorePart(y + column, acc, count);
}

// Weights come from the third-level cache, panel after panel; the processor's own prefetching stops
// at every page.
template <typename W>
inline void Prefetch(const W* row) {
  constexpr int kCacheLine = 64;
  for (int i = 0; i < kPanel; i += kCacheLine / static_cast<int>(sizeof(W))) {
    __builtin_prefetch(row + i);
  }
}

// W: float or uint16_t, what the weights are kept in. Vectors come in pairs: see LoadPair.
template <typename W, int kRows, int kVecs>
inline void Tile(const LinearCall& call, const float* x, float* y, int column) {
  constexpr int kPanels = kVecs * kLanes > kPanel ? kVecs * kLanes / kPanel : 1;
  constexpr int kVecsPerPanel = kVecs / kPanels;
  const int k = call.weights.k;
  const W* w;
  PanelsOf(call.weights, &w);
  w += static_cast<int64_t>(column / kPanel) * k * kPanel + column % kPanel;
  const W* panels[kPanels];
  for (int p = 0; p < kPanels; ++p) panels[p] = w + static_cast<int64_t>(p) * k * kPanel;
  F acc[kRows][kVecs];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVecs; ++v) acc[r][v] = F{};
  }
  for (int i = 0; i < k; ++i) {
    if constexpr (kPanels == 1) Prefetch(panels[0] + (k + i) * kPanel);
    F wv[kVecs];
#pragma GCC unroll 8
    for (int v = 0; v < kVecs; v += 2) {
      LoadPair(panels[v / kVecsPerPanel] + i * kPanel + v % kVecsPerPanel * kLanes, &wv[v],
               &wv[v + 1]);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      F xv = Set(x[r * call.ldx + i]);
#pragma GCC unroll 8
      for (int v = 0; v < kVecs; ++v) acc[r][v] = Fma(xv, wv[v], acc[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVecs; ++v) {
      Finish(call, acc[r][v], column + v * kLanes, y + r * call.ldy);
    }
  }
}

// All columns from `column` for kRows rows; returns where a tile no longer fits.
template <typename W, int kRows, int kVecs>
inline int Strip(const LinearCall& call, const float* x, float* y, int column) {
  const int padded = (call.weights.n + kPanel - 1) / kPanel * kPanel;
  for (; column + kVecs * kLanes <= padded; column += kVecs * kLanes) {
    Tile<W, kRows, kVecs>(call, x, y, column);
  }
  return column;
}

// The last rows, fewer than a full tile: few rows take more columns at once.
template <typename W>
inline void Rows(const LinearCall& call, const float* x, int rows) {
  float* y = call.y;
  constexpr int kPanelVecs = kPanel / kLanes;
  switch (rows) {
    case 1:
      Strip<W, 1, kPanelVecs>(call, x, y, Strip<W, 1, 8>(call, x, y, 0));
      break;
    case 2:
      Strip<W, 2, kPanelVecs >= 4 ? 4 : 2>(call, x, y, Strip<W, 2, 4>(call, x, y, 0));
      break;
    case 3:
      Strip<W, 3, kPanelVecs >= 4 ? 4 : 2>(call, x, y, Strip<W, 3, 4>(call, x, y, 0));
      break;
    case 4:
      Strip<W, 4, 2>(call, x, y, kLanes == 16 ? Strip<W, 4, 4>(call, x, y, 0) : 0);
      break;
    case 5:
      Strip<W, 5, 2>(call, x, y, kLanes == 16 ? Strip<W, 5, 4>(call, x, y, 0) : 0);
      break;
    case 6:
      Strip<W, 6, 2>(call, x, y, kLanes == 16 ? Strip<W, 6, 4>(call, x, y, 0) : 0);
      break;
    case 7:
      Strip<W, 7, 2>(call, x, y, 0);
      break;
    case 8:
      Strip<W, 8, 2>(call, x, y, 0);
      break;
    case 9:
      Strip<W, 9, 2>(call, x, y, 0);
      break;
    case 10:
      Strip<W, 10, 2>(call, x, y, 0);
      break;
    case 11:
      Strip<W, 11, 2>(call, x, y, 0);
      break;
  }
}

// 16 vector registers hold 6 x 2 accumulators, 32 hold 12 x 2.
constexpr int kTileRows = kLanes == 16 ? 12 : 6;

// Full tiles. Columns outside, rows inside: a panel is read from memory once and stays in the
// cache.
template <typename W>
inline void Tiles(const LinearCall& call, const float* x, int rows) {
  for (int column = 0; column < call.weights.n; column += 2 * kLanes) {
    for (int r = 0; r < rows; r += kTileRows) {
      Tile<W, kTileRows, 2>(call, x + r * call.ldx, call.y + r * call.ldy, column);
    }
  }
}

void Linear(const PackedWeights& weights, const float* x, int64_t ldx, int m, float* y, int64_t ldy,
            Epilogue epilogue) {
  LinearCall call{weights, ldx, y, ldy, epilogue};
  const int full = m / kTileRows * kTileRows;
  const bool narrow = weights.narrow != nullptr;
  narrow ? Tiles<uint16_t>(call, x, full) : Tiles<float>(call, x, full);
  call.y += full * ldy;
  x += full * ldx;
  narrow ? Rows<uint16_t>(call, x, m - full) : Rows<float>(call, x, m - full);
}

}  // namespace
}  // namespace firstbyte::kernels

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

template <int kRows, int kVecs>
inline void Tile(const LinearCall& call, const float* x, float* y, int column) {
  constexpr int kPanels = kVecs * kLanes > kPanel ? kVecs * kLanes / kPanel : 1;
  constexpr int kVecsPerPanel = kVecs / kPanels;
  const int k = call.weights.k;
  const float* w =
      call.weights.panels + static_cast<int64_t>(column / kPanel) * k * kPanel + column % kPanel;
  const float* panels[kPanels];
  for (int p = 0; p < kPanels; ++p) panels[p] = w + static_cast<int64_t>(p) * k * kPanel;
  F acc[kRows][kVecs];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVecs; ++v) acc[r][v] = F{};
  }
  for (int i = 0; i < k; ++i) {
    F wv[kVecs];
#pragma GCC unroll 8
    for (int v = 0; v < kVecs; ++v) {
      wv[v] = Load(panels[v / kVecsPerPanel] + i * kPanel + v % kVecsPerPanel * kLanes);
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
template <int kRows, int kVecs>
inline int Strip(const LinearCall& call, const float* x, float* y, int column) {
  const int padded = (call.weights.n + kPanel - 1) / kPanel * kPanel;
  for (; column + kVecs * kLanes <= padded; column += kVecs * kLanes) {
    Tile<kRows, kVecs>(call, x, y, column);
  }
  return column;
}

// The last rows, fewer than a full tile: few rows take more columns at once.
inline void Rows(const LinearCall& call, const float* x, int rows) {
  float* y = call.y;
  constexpr int kPanelVecs = kPanel / kLanes;
  switch (rows) {
    case 1:
      Strip<1, kPanelVecs>(call, x, y, Strip<1, 8>(call, x, y, 0));
      break;
    case 2:
      Strip<2, kPanelVecs >= 4 ? 4 : 2>(call, x, y, Strip<2, 4>(call, x, y, 0));
      break;
    case 3:
      Strip<3, kPanelVecs >= 4 ? 4 : 2>(call, x, y, Strip<3, 4>(call, x, y, 0));
      break;
    case 4:
      Strip<4, 2>(call, x, y, kLanes == 16 ? Strip<4, 4>(call, x, y, 0) : 0);
      break;
    case 5:
      Strip<5, 2>(call, x, y, kLanes == 16 ? Strip<5, 4>(call, x, y, 0) : 0);
      break;
    case 6:
      Strip<6, 2>(call, x, y, kLanes == 16 ? Strip<6, 4>(call, x, y, 0) : 0);
      break;
    case 7:
      Strip<7, 2>(call, x, y, 0);
      break;
    case 8:
      Strip<8, 2>(call, x, y, 0);
      break;
    case 9:
      Strip<9, 2>(call, x, y, 0);
      break;
    case 10:
      Strip<10, 2>(call, x, y, 0);
      break;
    case 11:
      Strip<11, 2>(call, x, y, 0);
      break;
  }
}

void Linear(const PackedWeights& weights, const float* x, int64_t ldx, int m, float* y, int64_t ldy,
            Epilogue epilogue) {
  // 16 vector registers hold 6 x 2 accumulators, 32 hold 12 x 2.
  constexpr int kTileRows = kLanes == 16 ? 12 : 6;
  LinearCall call{weights, ldx, y, ldy, epilogue};
  // Columns outside, rows inside: a panel is read from memory once and stays in the cache.
  const int full = m / kTileRows * kTileRows;
  if (full > 0) {
    for (int column = 0; column < weights.n; column += 2 * kLanes) {
      for (int r = 0; r < full; r += kTileRows) {
        Tile<kTileRows, 2>(call, x + r * ldx, y + r * ldy, column);
      }
    }
  }
  call.y = y + full * ldy;
  Rows(call, x + full * ldx, m - full);
}

}  // namespace
}  // namespace firstbyte::kernels

// A convolution of 3 taps over time, where rows come four at a time.
#pragma once

#include <cstdint>

#include "model/kernels/kernels.h"

namespace firstbyte::kernels {

inline constexpr int kCausalRows = 4;                  // of a tile
inline constexpr int kCausalInputs = kCausalRows + 2;  // rows that a tile reads

// y[4 t + r] = epilogue(sum over taps of W[tap] x[r + tap] + b), x the rows of tile t. Each tile's
// result depends on its rows alone. Differs from the same sum taken term by term in the last bits.
struct CausalStep {
  const PackedWeights*
      weights;               // [n, 3 * channels], taps first, the oldest row's before the others
  const float* const* rows;  // [tiles][6] -> [channels]: two older rows, then the tile's four
  float* y;                  // [tiles * 4, n]
  float* scratch;            // CausalScratchFloats()
  int tiles;
  Epilogue epilogue;
};
int64_t CausalScratchFloats(int tiles, int channels);

}  // namespace firstbyte::kernels

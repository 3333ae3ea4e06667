// What the kernels on pictures work on: maps of [height, width, channels], channels together.
//
// A map that a convolution reads stands in a border of zeros, [height + 2, width + 2, channels]:
// then the three taps of a row are one run of memory, and no pixel is a special case. Whoever
// allocates a bordered map clears it once; the kernels write its inside only.
#pragma once

#include <cstdint>

#include "model/kernels/kernels.h"

namespace firstbyte::kernels {

// A 3 x 3 convolution with zeros around. An output pixel depends on its own map alone.
struct ConvStep {
  const PackedWeights* weights;  // [n, 3 * 3 * channels]: rows of taps, taps, channels
  const float* x;                // [maps][height + 2][width + 2][channels]
  float* y;                      // [maps][height][width][n], in a border when `bordered`
  int maps, height, width, channels;
  Epilogue epilogue;
  bool bordered;
};

// The same convolution by Winograd's method: less than half the arithmetic, for maps of even sides.
struct WinogradStep {
  const PackedWeights* products;  // [16] of [n, channels], biases zero: WinogradWeights()
  const PackedWeights* finish;    // its n and bias
  const float* x;                 // as in ConvStep, and the following
  float* y;
  int maps, height, width, channels;
  Epilogue epilogue;
  bool bordered;
  float* scratch;  // WinogradScratchFloats()
};
inline constexpr int kWinogradTiles = 64;  // of 2 x 2 pixels, in work at a time
int64_t WinogradScratchFloats(int height, int width, int channels, int n);
// weights [n, channels, 3, 3] -> products [16, n, channels]
void WinogradWeights(const float* weights, int n, int channels, float* products);

// Normalisation over a whole map (GroupNorm of one group), then gain and bias by channel.
struct MapNormStep {
  const float* x;     // [maps][height][width][channels]
  const float* gain;  // [channels]
  const float* bias;  // [channels]
  float epsilon;
  bool silu;  // of the result
  float* y;   // [maps][height + 2][width + 2][channels]
  int maps, height, width, channels;
};

}  // namespace firstbyte::kernels

#include "model/kernels/kernels.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>

#include "model/kernels/causal.h"
#include "model/kernels/maps.h"
#include "model/kernels/tables.h"

namespace firstbyte::kernels {

const KernelTable& Kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return kAvx512Table;
  if (isa == Isa::kAvx2) return kAvx2Table;
#endif
  static_cast<void>(isa);
  return kGenericTable;
}

const float* FftTwiddles() {
  static const std::array<float, 2 * kFftSize> table = [] {
    std::array<float, 2 * kFftSize> t;
    for (int i = 0; i < kFftSize; ++i) {
      double angle = -2 * std::numbers::pi * i / kFftSize;
      t[2 * i] = static_cast<float>(std::cos(angle));
      t[2 * i + 1] = static_cast<float>(std::sin(angle));
    }
    return t;
  }();
  return table.data();
}

int64_t FilterScratchFloats() {
  // Four planes, two spectra, cepstra and zeros: see filter_impl.h.
  return 4 * kFftSize * kFilterLanes + 2 * 2 * kFilterBins * kPanel + 64 * kPanel + kPanel;
}

int64_t CausalScratchFloats(int tiles, int channels) {
  return int64_t{kCausalInputs} * (int64_t{tiles} * channels + channels * kPanel + tiles * kPanel) +
         kPanel;
}

int64_t PackedFloats(int n, int k) {
  return static_cast<int64_t>((n + kPanel - 1) / kPanel) * kPanel * k;
}

void PackWeights(const float* weights, int n, int k, float* panels) {
  std::memset(panels, 0, sizeof(float) * PackedFloats(n, k));
  for (int row = 0; row < n; ++row) {
    float* to = panels + static_cast<int64_t>(row / kPanel) * k * kPanel + row % kPanel;
    const float* from = weights + static_cast<int64_t>(row) * k;
    for (int i = 0; i < k; ++i) to[static_cast<int64_t>(i) * kPanel] = from[i];
  }
}

bool PackNarrow(const float* weights, int n, int k, int lanes, uint16_t* panels) {
  std::fill_n(panels, PackedFloats(n, k), uint16_t{0});
  for (int row = 0; row < n; ++row) {
    const int pair = row % kPanel / (2 * lanes), lane = row % lanes, upper = row / lanes % 2;
    uint16_t* to = panels + static_cast<int64_t>(row / kPanel) * k * kPanel + pair * 2 * lanes +
                   2 * lane + upper;
    for (int i = 0; i < k; ++i, ++weights) {
      const auto bits = std::bit_cast<uint32_t>(*weights);
      if ((bits & 0xffff) != 0) return false;
      to[static_cast<int64_t>(i) * kPanel] = static_cast<uint16_t>(bits >> 16);
    }
  }
  return true;
}

int64_t WinogradScratchFloats(int height, int width, int channels, int n) {
  const int64_t tiles = int64_t{1} * (height / 2) * (width / 2);
  return 16 * std::max<int64_t>(tiles, kWinogradTiles) * (channels + n);
}

void WinogradWeights(const float* weights, int n, int channels, float* products) {
  const double g[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
  const int64_t pairs = int64_t{1} * n * channels;
  for (int64_t pair = 0; pair < pairs; ++pair, weights += 9) {
    for (int product = 0; product < 16; ++product) {
      double sum = 0;
      for (int tap = 0; tap < 9; ++tap) {
        sum += g[product / 4][tap / 3] * g[product % 4][tap % 3] * weights[tap];
      }
      products[product * pairs + pair] = static_cast<float>(sum);
    }
  }
}

}  // namespace firstbyte::kernels

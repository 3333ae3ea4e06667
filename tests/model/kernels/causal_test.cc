#include "model/kernels/causal.h"

#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "gtest/gtest.h"
#include "tests/model/kernels/kernel_fixture.h"

namespace firstbyte::kernels {
namespace {

// Rows of one stream behind two older ones, and weights that bfloat16 holds.
struct Problem {
  Problem(int outputs, int inputs, int most_tiles)
      : n(outputs),
        channels(inputs),
        weights(Random(int64_t{3} * n * channels, 1)),
        bias((n + kPanel - 1) / kPanel * kPanel),
        x(Random((int64_t{kCausalRows} * most_tiles + 2) * channels, 3)),
        panels(PackedFloats(n, 3 * channels)),
        scratch(CausalScratchFloats(most_tiles, channels)) {
    for (float& w : weights) w = std::bit_cast<float>(std::bit_cast<uint32_t>(w) & 0xffff0000);
    PackWeights(weights.data(), n, 3 * channels, panels.data());
    for (int i = 0; i < n; ++i) bias[i] = 0.01f * static_cast<float>(i);
  }

  std::vector<float> Run(const KernelTable& table, const PackedWeights& packed, int first,
                         int tiles, Epilogue epilogue = Epilogue::kNone) {
    std::vector<const float*> rows;
    for (int tile = first; tile < first + tiles; ++tile) {
      for (int r = 0; r < kCausalInputs; ++r) {
        rows.push_back(&x[(tile * kCausalRows + r) * channels]);
      }
    }
    std::vector<float> y(size_t{kCausalRows} * tiles * n);
    table.causal({&packed, rows.data(), y.data(), scratch.data(), tiles, epilogue});
    return y;
  }
  PackedWeights wide() const { return {panels.data(), bias.data(), n, 3 * channels}; }

  int n, channels;
  std::vector<float> weights, bias, x, panels, scratch;
};

using CausalTest = KernelTest;

TEST_P(CausalTest, MatchesDoublePrecision) {
  for (auto [n, channels, tiles] : {std::array{33, 12, 1}, {64, 82, 3}, {96, 192, 7}}) {
    Problem p(n, channels, tiles);
    const std::vector<float> y = p.Run(table(), p.wide(), 0, tiles);
    for (int row = 0; row < kCausalRows * tiles; ++row) {
      for (int c = 0; c < n; ++c) {
        double sum = p.bias[c];
        for (int i = 0; i < 3 * channels; ++i) {
          sum += double{p.weights[c * 3 * channels + i]} * p.x[row * channels + i];
        }
        ASSERT_NEAR(y[row * n + c], sum, 2e-5) << n << "x" << channels << " row " << row;
      }
    }
  }
}

// Few tiles and many go different ways through the weights.
TEST_P(CausalTest, ATileDoesNotDependOnTheBatch) {
  const int most = 21;
  Problem p(70, 31, most);
  std::vector<float> alone;
  for (int tile = 0; tile < most; ++tile) {
    const std::vector<float> one = p.Run(table(), p.wide(), tile, 1, Epilogue::kSilu);
    alone.insert(alone.end(), one.begin(), one.end());
  }
  for (int tiles = 1; tiles <= most; ++tiles) {
    const std::vector<float> y = p.Run(table(), p.wide(), 0, tiles, Epilogue::kSilu);
    ASSERT_EQ(0, std::memcmp(y.data(), alone.data(), sizeof(float) * y.size())) << tiles;
  }
}

TEST_P(CausalTest, NarrowWeightsGiveTheSameBytes) {
  Problem p(70, 31, 9);
  std::vector<uint16_t> narrow(p.panels.size());
  ASSERT_TRUE(PackNarrow(p.weights.data(), p.n, 3 * p.channels, table().lanes, narrow.data()));
  const PackedWeights packed{nullptr, p.bias.data(), p.n, 3 * p.channels, narrow.data()};
  for (int tiles : {1, 4, 5, 9}) {
    EXPECT_EQ(p.Run(table(), packed, 0, tiles), p.Run(table(), p.wide(), 0, tiles)) << tiles;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, CausalTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::kernels

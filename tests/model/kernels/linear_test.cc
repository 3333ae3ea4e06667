#include <array>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "tests/model/kernels/kernel_fixture.h"

namespace firstbyte::kernels {
namespace {

using LinearTest = KernelTest;

struct Problem {
  Problem(int n, int k, int m, bool with_bias = true)
      : weights(Random(n * k, 1)),
        bias(Random(n, 2)),
        x(Random(m * k, 3)),
        panels(PackedFloats(n, k)),
        padded_bias((n + kPanel - 1) / kPanel * kPanel, 0.0f) {
    PackWeights(weights.data(), n, k, panels.data());
    if (with_bias) std::copy(bias.begin(), bias.end(), padded_bias.begin());
    packed = {panels.data(), padded_bias.data(), n, k};
  }
  std::vector<float> weights, bias, x;
  Floats panels, padded_bias;
  PackedWeights packed;
};

TEST_P(LinearTest, MatchesDoublePrecision) {
  for (auto [n, k, m] :
       {std::array{82, 246, 5}, {1, 1, 1}, {33, 7, 13}, {256, 704, 3}, {65, 40, 31}}) {
    Problem p(n, k, m);
    std::vector<float> y(m * n);
    table().linear(p.packed, p.x.data(), k, m, y.data(), n, Epilogue::kNone);
    for (int r = 0; r < m; ++r) {
      for (int c = 0; c < n; ++c) {
        double sum = p.bias[c];
        for (int i = 0; i < k; ++i) sum += double{p.x[r * k + i]} * p.weights[c * k + i];
        ASSERT_NEAR(y[r * n + c], sum, 2e-5) << n << "x" << k << " row " << r << " column " << c;
      }
    }
  }
}

TEST_P(LinearTest, EpiloguesFollowTheSum) {
  const int n = 45, k = 19, m = 3;
  Problem p(n, k, m);
  std::vector<float> plain(m * n), silu(m * n), sum = Random(m * n, 9), before = sum;
  table().linear(p.packed, p.x.data(), k, m, plain.data(), n, Epilogue::kNone);
  table().linear(p.packed, p.x.data(), k, m, silu.data(), n, Epilogue::kSilu);
  table().linear(p.packed, p.x.data(), k, m, sum.data(), n, Epilogue::kAdd);
  for (int i = 0; i < m * n; ++i) {
    EXPECT_NEAR(silu[i], plain[i] / (1 + std::exp(-plain[i])), 1e-6);
    EXPECT_EQ(sum[i], before[i] + plain[i]);
  }
}

// The promise that lets sessions share a step: see "Determinism" in model/model.h.
TEST_P(LinearTest, ARowDoesNotDependOnTheBatch) {
  for (auto [n, k] : {std::array{768, 256}, {130, 61}, {31, 3}, {328, 256}, {82, 576}}) {
    const int most = 40;
    Problem p(n, k, most);
    for (Epilogue epilogue : {Epilogue::kNone, Epilogue::kSilu}) {
      std::vector<float> alone(most * n);
      for (int r = 0; r < most; ++r) {
        table().linear(p.packed, &p.x[r * k], k, 1, &alone[r * n], n, epilogue);
      }
      for (int m = 1; m <= most; ++m) {
        std::vector<float> y(m * n);
        table().linear(p.packed, p.x.data(), k, m, y.data(), n, epilogue);
        ASSERT_EQ(0, std::memcmp(y.data(), alone.data(), sizeof(float) * m * n))
            << "n " << n << " k " << k << " m " << m;
      }
    }
  }
}

// For few rows, many, and long panels.
TEST_P(LinearTest, NarrowWeightsGiveTheSameBytes) {
  for (auto [n, k] : {std::array{130, 61}, {31, 3}, {96, 1024}, {40, 1030}}) {
    const int most = 70;
    Problem p(n, k, most);
    std::vector<uint16_t> narrow(p.panels.size());
    EXPECT_FALSE(PackNarrow(p.weights.data(), n, k, table().lanes, narrow.data()));
    for (float& weight : p.weights) {
      weight = std::bit_cast<float>(std::bit_cast<uint32_t>(weight) & 0xffff0000);
    }
    PackWeights(p.weights.data(), n, k, p.panels.data());
    ASSERT_TRUE(PackNarrow(p.weights.data(), n, k, table().lanes, narrow.data()));
    const PackedWeights packed{nullptr, p.packed.bias, n, k, narrow.data()};
    for (int m : {1, 2, 5, 11, 12, 18, 36, 60, 65, most}) {
      std::vector<float> expected = Random(m * n, 9), y = expected;
      table().linear(p.packed, p.x.data(), k, m, expected.data(), n, Epilogue::kAdd);
      table().linear(packed, p.x.data(), k, m, y.data(), n, Epilogue::kAdd);
      ASSERT_EQ(0, std::memcmp(y.data(), expected.data(), sizeof(float) * m * n))
          << "n " << n << " k " << k << " m " << m;
    }
  }
}

TEST_P(LinearTest, WritesOnlyItsColumns) {
  const int n = 33, k = 5, m = 4, ldy = 40;
  Problem p(n, k, m);
  std::vector<float> y(m * ldy, -7.0f);
  table().linear(p.packed, p.x.data(), k, m, y.data(), ldy, Epilogue::kNone);
  for (int r = 0; r < m; ++r) {
    for (int c = n; c < ldy; ++c) EXPECT_EQ(y[r * ldy + c], -7.0f);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, LinearTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::kernels

#include <cmath>
#include <numbers>
#include <vector>

#include "gtest/gtest.h"
#include "tests/model/kernels/kernel_fixture.h"

namespace firstbyte::kernels {
namespace {

using OpsTest = KernelTest;

TEST_P(OpsTest, ExpIsWithinTwoUlp) {
  std::vector<float> x, y;
  for (float v = -86; v < 88; v += 0.0137f) x.push_back(v);
  y.resize(x.size());
  table().exp(x.data(), x.size(), y.data());
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_NEAR(y[i] / std::exp(double{x[i]}), 1.0, 2.4e-7) << x[i];
  }
}

TEST_P(OpsTest, ExpSaturates) {
  std::vector<float> x = {-1000, 1000, 0}, y(3);
  table().exp(x.data(), 3, y.data());
  EXPECT_LT(y[0], 1e-37f);
  EXPECT_TRUE(std::isfinite(y[1]));
  EXPECT_EQ(y[2], 1.0f);
}

TEST_P(OpsTest, SinCosHoldOverLongClauses) {
  std::vector<float> x, s, c;
  for (float v = -8000; v < 8000; v += 0.317f) x.push_back(v);
  s.resize(x.size());
  c.resize(x.size());
  table().sincos(x.data(), x.size(), s.data(), c.data());
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_NEAR(s[i], std::sin(double{x[i]}), 4e-7) << x[i];
    ASSERT_NEAR(c[i], std::cos(double{x[i]}), 4e-7) << x[i];
  }
}

TEST_P(OpsTest, RmsNormScalesEachRow) {
  const int m = 3, n = 70;
  auto x = Random(m * n, 4), gain = Random(n, 5);
  std::vector<float> y(m * n);
  table().rms_norm(x.data(), gain.data(), 1e-5f, m, n, y.data());
  for (int r = 0; r < m; ++r) {
    double squares = 0;
    for (int i = 0; i < n; ++i) squares += double{x[r * n + i]} * x[r * n + i];
    for (int i = 0; i < n; ++i) {
      ASSERT_NEAR(y[r * n + i], x[r * n + i] / std::sqrt(squares / n + 1e-5) * gain[i], 1e-6);
    }
  }
}

TEST_P(OpsTest, GatesMatchTheirFormula) {
  const int m = 2, n = 37;
  auto x = Random(2 * m * n, 6, 3.0f);
  std::vector<float> swiglu(m * n), gate(m * n), silu(m * n);
  table().silu(x.data(), m * n, silu.data());
  table().swiglu(x.data(), m, n, swiglu.data());
  table().tanh_gate(x.data(), m, n, gate.data());
  for (int i = 0; i < m * n; ++i) ASSERT_NEAR(silu[i], x[i] / (1 + std::exp(-x[i])), 2e-6);
  for (int r = 0; r < m; ++r) {
    for (int i = 0; i < n; ++i) {
      double a = x[r * 2 * n + i], b = x[r * 2 * n + n + i];
      ASSERT_NEAR(swiglu[r * n + i], a / (1 + std::exp(-a)) * b, 4e-6);
      ASSERT_NEAR(gate[r * n + i], std::tanh(a) / (1 + std::exp(-b)), 4e-7);
    }
  }
}

TEST_P(OpsTest, AnElementDoesNotDependOnItsPlace) {
  auto x = Random(64, 7);
  std::vector<float> all(64), one(1);
  table().exp(x.data(), 61, all.data());
  for (int i = 0; i < 61; ++i) {
    table().exp(&x[i], 1, one.data());
    ASSERT_EQ(one[0], all[i]) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, OpsTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::kernels

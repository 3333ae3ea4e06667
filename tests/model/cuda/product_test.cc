#include "model/cuda/product.h"

#include <cmath>
#include <cstring>

#include "tests/model/cuda/executor.h"
#include "tests/model/cuda/random_case.h"

namespace firstbyte::cuda {
namespace {

constexpr float kUntouched = -77;

// A case of a product on values of In and results of Out, and what double precision makes of it.
template <typename In, typename Out>
struct Case {
  Case(RandomCase* random, Number number, int rows)
      : rows(rows),
        n(8 * random->Between(1, 9)),
        k(8 * random->Between(1, 12)),
        shape{.number = number,
              .wide = sizeof(Out) > sizeof(In),
              .bias = random->Between(0, 1) == 1,
              .add = random->Between(0, 2) == 0,
              .activation = Activation::kNone,
              .most_rows = rows + random->Between(0, 9),
              .n = n,
              .k = k,
              .x_stride = k + 8,
              .y_stride = n + 16},
        x(random->Normals<In>(rows * shape.x_stride)),
        weights(random->Normals<In>(n * k)),
        bias(random->Normals<Out>(n)),
        y(random->Normals<Out>(rows * shape.y_stride)) {
    if (!shape.add) shape.activation = static_cast<Activation>(random->Between(0, 2));
    for (size_t i = 0; i < y.size(); ++i) {
      if (static_cast<int>(i % shape.y_stride) >= n) y[i] = Of<Out>(kUntouched);
    }
  }

  std::vector<Out> Run(Executor* e, int first, int count) const {
    Out* to = e->Put(std::vector<Out>(y.begin() + first * shape.y_stride,
                                      y.begin() + (first + count) * shape.y_stride));
    e->Run(shape, {.x = e->Put(std::vector<In>(x.begin() + first * shape.x_stride,
                                               x.begin() + (first + count) * shape.x_stride)),
                   .weights = e->Put(weights),
                   .bias = e->Put(bias),
                   .y = to,
                   .rows = count});
    return e->Get(to, count * shape.y_stride);
  }

  double Expected(int row, int column) const {
    const double before = ToFloat(y[row * shape.y_stride + column]);
    if (column >= n) return kUntouched;
    double sum = shape.add ? before : 0;
    for (int i = 0; i < k; ++i) {
      sum += double{ToFloat(x[row * shape.x_stride + i])} * ToFloat(weights[column * k + i]);
    }
    if (shape.bias) sum += ToFloat(bias[column]);
    if (shape.activation == Activation::kSilu) return sum / (1 + std::exp(-sum));
    if (shape.activation == Activation::kReluSquared) return std::pow(std::max(sum, 0.0), 2);
    return sum;
  }

  int rows, n, k;
  ProductShape shape;
  std::vector<In> x, weights;
  std::vector<Out> bias, y;
};

class ProductTest : public KernelTest {
 protected:
  // `tolerance`: of a value, and of the terms that it is the sum of.
  template <typename In, typename Out>
  void Check(Number number, uint64_t seed, double tolerance) {
    SCOPED_TRACE(seed);
    RandomCase random(seed);
    const Case<In, Out> c(&random, number, random.OneOf({1, 2, 5, 18, 33}));
    const std::vector<Out> made = c.Run(&Fresh(), 0, c.rows);
    for (size_t i = 0; i < made.size(); ++i) {
      const int row = static_cast<int>(i / c.shape.y_stride);
      const double want = c.Expected(row, static_cast<int>(i % c.shape.y_stride));
      const double terms = std::sqrt(double{1.0} * c.k) * (1 + std::sqrt(std::abs(want)));
      ASSERT_NEAR(ToFloat(made[i]), want, tolerance * (terms + std::abs(want))) << "at " << i;
    }
  }
};

TEST_P(ProductTest, MultipliesFloats) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    ASSERT_NO_FATAL_FAILURE((Check<float, float>(Number::kF32, seed, 1e-5)));
  }
}

TEST_P(ProductTest, AlsoWithFewerDigits) {
  for (uint64_t seed = 100; seed < 115; ++seed) {
    ASSERT_NO_FATAL_FAILURE((Check<float, float>(Number::kTf32, seed, 4e-3)));
    ASSERT_NO_FATAL_FAILURE((Check<Bf16, Bf16>(Number::kBf16, seed, 2e-2)));
    ASSERT_NO_FATAL_FAILURE((Check<Bf16, float>(Number::kBf16, seed, 1e-5)));
    ASSERT_NO_FATAL_FAILURE((Check<F16, F16>(Number::kF16, seed, 3e-3)));
    ASSERT_NO_FATAL_FAILURE((Check<F16, float>(Number::kF16, seed, 1e-5)));
  }
}

TEST_P(ProductTest, ARowDoesNotKnowHowManyThereAre) {
  RandomCase random(7);
  const Case<Bf16, float> c(&random, Number::kBf16, 33);
  const std::vector<float> together = c.Run(&Fresh(), 0, c.rows);
  for (int row : {0, 17, 32}) {
    const std::vector<float> alone = c.Run(&Fresh(), row, 1);
    EXPECT_EQ(std::memcmp(alone.data(), &together[row * c.shape.y_stride], 4 * alone.size()), 0);
  }
}

TEST_P(ProductTest, SwigluMultipliesWithTheGate) {
  RandomCase random(8);
  const int rows = 5, width = 300;
  const auto gate_up = random.Normals<Bf16>(rows * 2 * width);
  const auto untouched = std::vector<Bf16>(rows * width + 1, Of<Bf16>(kUntouched));
  Executor& e = Fresh();
  Bf16* y = e.Put(untouched);
  e.Run(SwigluStep<Bf16>{e.Put(gate_up), y, rows, width});
  const std::vector<Bf16> made = e.Get(y, untouched.size());
  for (int i = 0; i < rows * width; ++i) {
    const Bf16* own = &gate_up[i / width * 2 * width + i % width];
    const double gate = ToFloat(own[0]), up = ToFloat(own[width]);
    const double want = gate / (1 + std::exp(-gate)) * up;
    ASSERT_NEAR(ToFloat(made[i]), want, kTolerance<Bf16> * (1e-3 + std::abs(want))) << "at " << i;
  }
  EXPECT_EQ(ToFloat(made.back()), kUntouched);
}

INSTANTIATE_TEST_SUITE_P(On, ProductTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

TEST(F16Test, IsTheFloatBesideIt) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const F16 half{static_cast<uint16_t>(bits)};
    const float x = ToFloat(half);
    const int exponent = static_cast<int>(bits >> 10 & 31),
              fraction = static_cast<int>(bits & 1023);
    const double size =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent < 31) {
      EXPECT_EQ(x, bits >> 15 == 1 ? -size : size);
    }
    F16 back;
    Store(x, &back);
    if (std::isnan(x)) {
      EXPECT_TRUE(std::isnan(ToFloat(back)));
    } else {
      EXPECT_EQ(back.bits, bits);
    }
  }
}

TEST(F16Test, RoundsToTheNearestAndTiesToEven) {
  const auto stored = [](float x) { return int{Of<F16>(x).bits}; };
  EXPECT_EQ(stored(1 + 0x1p-11f), 0x3C00);
  EXPECT_EQ(stored(1 + 0x1p-11f + 0x1p-20f), 0x3C01);
  EXPECT_EQ(stored(1 + 3 * 0x1p-11f), 0x3C02);
  EXPECT_EQ(stored(0x1p-25f), 0);
  EXPECT_EQ(stored(3 * 0x1p-25f), 2);
  EXPECT_EQ(stored(-65519.0f), 0xFBFF);
  EXPECT_EQ(stored(65520.0f), 0x7C00);
}

}  // namespace
}  // namespace firstbyte::cuda

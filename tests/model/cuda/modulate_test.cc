#include "model/cuda/modulate.h"

#include <cmath>

#include "tests/model/cuda/executor.h"
#include "tests/model/cuda/random_case.h"

namespace firstbyte::cuda {
namespace {

constexpr float kEpsilon = 1e-6f, kUntouched = -77;

class ModulateTest : public KernelTest {
 protected:
  template <typename T>
  void Check(uint64_t seed) {
    SCOPED_TRACE(seed);
    RandomCase random(seed);
    const int rows = random.Between(1, 5), tokens = random.OneOf({1, 7, 18});
    const int width = random.OneOf({1, 33, 256, 300, 1000});
    const bool added = random.Between(0, 3) > 0, modulated = random.Between(0, 3) > 0;
    const bool gated = random.Between(0, 1) == 1, shifted = random.Between(0, 1) == 1;
    const int stride = random.OneOf({6 * width + 5, 0});
    const int64_t size = int64_t{rows} * tokens * width;
    const std::vector<int32_t> slots = random.Slots(rows, rows + 2);
    const auto x = random.Normals<float>(size),
               facts = random.Normals<float>(rows * stride + 3 * width);
    const auto branch = random.Normals<T>(size);
    Executor& e = Fresh();
    const float* all = e.Put(facts);
    float* sum = e.Put(x);
    T* y = e.Put(std::vector<T>(size, Of<T>(kUntouched)));
    e.Run(ModulateStep<T>{.x = sum,
                          .branch = added ? e.Put(branch) : nullptr,
                          .gate = gated ? all : nullptr,
                          .scale = modulated ? all + width : nullptr,
                          .shift = shifted ? all + 2 * width : nullptr,
                          .stride = stride,
                          .slots = e.Put(slots),
                          .y = y,
                          .epsilon = kEpsilon,
                          .rows = rows,
                          .tokens = tokens,
                          .width = width});
    const std::vector<float> sums = e.Get(sum, size);
    const std::vector<T> ys = e.Get(y, size);
    for (int token = 0; token < rows * tokens; ++token) {
      const float* own = facts.data() + int64_t{token / tokens} * stride;
      const int64_t first = int64_t{token} * width;
      const bool idle = slots[token / tokens] < 0;
      double squares = 0;
      std::vector<double> expected(x.begin() + first, x.begin() + first + width);
      for (int i = 0; i < width; ++i) {
        if (added && !idle) expected[i] += (gated ? own[i] : 1) * ToFloat(branch[first + i]);
        squares += expected[i] * expected[i];
        ASSERT_NEAR(sums[first + i], expected[i], 1e-5) << "x, token " << token << " of " << i;
      }
      for (int i = 0; i < width; ++i) {
        const double v =
            expected[i] / std::sqrt(squares / width + kEpsilon) * (1 + own[width + i]) +
            (shifted ? own[2 * width + i] : 0);
        const double want = modulated && !idle ? v : kUntouched;
        ASSERT_NEAR(ToFloat(ys[first + i]), want, kTolerance<T> * (1 + std::abs(want)))
            << "y, token " << token << " of " << i;
      }
    }
  }
};

TEST_P(ModulateTest, AddsTheGatedBranchAndModulatesTheSum) {
  for (uint64_t seed = 0; seed < 60; ++seed) ASSERT_NO_FATAL_FAILURE(Check<float>(seed));
}

TEST_P(ModulateTest, AlsoOfBf16) {
  for (uint64_t seed = 100; seed < 130; ++seed) ASSERT_NO_FATAL_FAILURE(Check<Bf16>(seed));
}

INSTANTIATE_TEST_SUITE_P(On, ModulateTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda

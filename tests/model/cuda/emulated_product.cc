#include "tests/model/cuda/emulated_product.h"

#include <algorithm>
#include <vector>

namespace firstbyte::cuda {
namespace {

// To the ten bits of fraction that are used, to the nearest.
float Tf32(float x) { return FromBits((BitsOf(x) + 0x1000u) & ~0x1FFFu); }

// Rows that are multiplied together, one in each lane, by so many rows of weights at a time: tests
// would take minutes otherwise. A lane adds over k in order, so a row does not know its neighbours.
constexpr int kTogether = 4, kWeights = 4;
typedef float Lanes __attribute__((vector_size(kTogether * sizeof(float))));

// [k] of the rows from `first` on; zeros beyond the last.
template <typename In, typename Round>
std::vector<Lanes> Gather(const ProductShape& s, const ProductStep& p, int first, Round round) {
  std::vector<Lanes> lanes(s.k, Lanes{});
  const auto* x = static_cast<const In*>(p.x);
  for (int row = first; row < std::min(first + kTogether, p.rows); ++row) {
    for (int k = 0; k < s.k; ++k) lanes[k][row - first] = round(ToFloat(x[row * s.x_stride + k]));
  }
  return lanes;
}

template <typename Out>
void Finish(const ProductShape& s, const ProductStep& p, int row, int n, float sum) {
  Out* to = static_cast<Out*>(p.y) + row * s.y_stride + n;
  if (s.add) sum += ToFloat(*to);
  Store(s.bias ? sum + ToFloat(static_cast<const Out*>(p.bias)[n]) : sum, to);
}

template <typename In, typename Out, typename Round>
void Run(const ProductShape& s, const ProductStep& p, Round round) {
  for (int first = 0; first < p.rows; first += kTogether) {
    const std::vector<Lanes> x = Gather<In>(s, p, first, round);
    for (int n = 0; n < s.n; n += kWeights) {
      const In* weights[kWeights];
      for (int i = 0; i < kWeights; ++i) {
        weights[i] = static_cast<const In*>(p.weights) + int64_t{std::min(n + i, s.n - 1)} * s.k;
      }
      Lanes sums[kWeights] = {};
      for (int k = 0; k < s.k; ++k) {
        for (int i = 0; i < kWeights; ++i) sums[i] += x[k] * round(ToFloat(weights[i][k]));
      }
      for (int i = 0; i < std::min(kWeights, s.n - n); ++i) {
        for (int row = first; row < std::min(first + kTogether, p.rows); ++row) {
          Finish<Out>(s, p, row, n + i, sums[i][row - first]);
        }
      }
    }
  }
}

template <typename In>
void RunNarrow(const ProductShape& shape, const ProductStep& step) {
  const auto exact = [](float x) { return x; };
  if (shape.wide) {
    Run<In, float>(shape, step, exact);
  } else {
    Run<In, In>(shape, step, exact);
  }
}

}  // namespace

void EmulateProduct(const ProductShape& shape, const ProductStep& step) {
  switch (shape.number) {
    case Number::kF32:
      return Run<float, float>(shape, step, [](float x) { return x; });
    case Number::kTf32:
      return Run<float, float>(shape, step, Tf32);
    case Number::kF16:
      return RunNarrow<F16>(shape, step);
    case Number::kBf16:
      return RunNarrow<Bf16>(shape, step);
  }
}

}  // namespace firstbyte::cuda

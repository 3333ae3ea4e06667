#include "tests/model/cuda/emulated_product.h"

#include <cmath>

namespace firstbyte::cuda {
namespace {

// To the ten bits of fraction that are used, to the nearest.
float Tf32(float x) { return FromBits((BitsOf(x) + 0x1000u) & ~0x1FFFu); }

template <typename In, typename Out, typename Round>
void Run(const ProductShape& s, const ProductStep& p, Round round) {
  const auto *x = static_cast<const In*>(p.x), *weights = static_cast<const In*>(p.weights);
  const auto* bias = static_cast<const Out*>(p.bias);
  auto* y = static_cast<Out*>(p.y);
  for (int row = 0; row < p.rows; ++row) {
    for (int n = 0; n < s.n; ++n) {
      float sum = 0;
      for (int k = 0; k < s.k; ++k) {
        sum = std::fma(round(ToFloat(x[row * s.x_stride + k])),
                       round(ToFloat(weights[int64_t{n} * s.k + k])), sum);
      }
      Out* to = y + row * s.y_stride + n;
      if (s.add) sum += ToFloat(*to);
      Store(s.bias ? sum + ToFloat(bias[n]) : sum, to);
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

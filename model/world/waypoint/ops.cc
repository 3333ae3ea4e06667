#include "model/world/waypoint/ops.h"

#include <algorithm>
#include <bit>

namespace firstbyte::waypoint {
namespace {

constexpr int kStretch = 256;  // numbers on the stack at a time

// Calls f(i, exp(scale * x[i])) for every i, in order; f may overwrite x[i].
template <typename Function>
void WithExp(const kernels::KernelTable& kernels, const float* x, float scale, int64_t count,
             Function f) {
  float e[kStretch];
  for (int64_t i = 0; i < count; i += kStretch) {
    const int n = static_cast<int>(std::min<int64_t>(kStretch, count - i));
    for (int j = 0; j < n; ++j) e[j] = x[i + j] * scale;
    kernels.exp(e, n, e);
    for (int j = 0; j < n; ++j) f(i + j, e[j]);
  }
}

}  // namespace

void Modulate(const float* scale, const float* shift, int m, int n, float* x) {
  for (int r = 0; r < m; ++r, x += n) {
    for (int i = 0; i < n; ++i) x[i] = x[i] * (1 + scale[i]) + shift[i];
  }
}

void AddGated(const float* x, const float* gate, int m, int n, float* y) {
  for (int r = 0; r < m; ++r, x += n, y += n) {
    for (int i = 0; i < n; ++i) y[i] += gate[i] * x[i];
  }
}

void AddRow(const float* row, int m, int n, float* x) {
  for (int r = 0; r < m; ++r, x += n) {
    for (int i = 0; i < n; ++i) x[i] += row[i];
  }
}

void Relu(int64_t count, float* x) {
  for (int64_t i = 0; i < count; ++i) x[i] = x[i] > 0 ? x[i] : 0;
}

void Silu(const kernels::KernelTable& kernels, int64_t count, float* x) {
  WithExp(kernels, x, -1, count, [x](int64_t i, float e) { x[i] = x[i] / (1 + e); });
}

void SoftClamp(const kernels::KernelTable& kernels, const float* x, int64_t count, float* y) {
  WithExp(kernels, x, -2.0f / 3, count, [y](int64_t i, float e) { y[i] = 3 * (1 - e) / (1 + e); });
}

void Softmax(const kernels::KernelTable& kernels, float scale, int m, int n, float* x) {
  for (int r = 0; r < m; ++r, x += n) {
    const float top = *std::max_element(x, x + n);
    for (int i = 0; i < n; ++i) x[i] = (x[i] - top) * scale;
    kernels.exp(x, n, x);
    double sum = 0;  // thousands of terms of one size: a float would lose digits
    for (int i = 0; i < n; ++i) sum += x[i];
    const float share = static_cast<float>(1 / sum);
    for (int i = 0; i < n; ++i) x[i] *= share;
  }
}

float RoundToBf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u);
}

}  // namespace firstbyte::waypoint

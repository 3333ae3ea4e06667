#include "bench/roofline.h"

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>

#include "bench/thread_time.h"
#include "model/nn/tensor.h"

namespace firstbyte {
namespace {

// One panel stays in the first-level cache and many rows share it: nothing but multiply-adds.
double PackedGflops(const kernels::KernelTable& table) {
  const int n = 32, k = 192, m = 96;
  nn::Tensor panels({kernels::PackedFloats(n, k)}), bias({n}), x({m, k}), y({m, n});
  const kernels::PackedWeights weights{panels.data(), bias.data(), n, k};
  const int calls = 100;
  const double ms = Fastest(30, [&] {
    for (int i = 0; i < calls; ++i) {
      table.linear(weights, x.data(), k, m, y.data(), n, kernels::Epilogue::kNone);
    }
  });
  return 2e-6 * calls * m * n * k / ms;
}

double SgemmGflops() {
  c10::InferenceMode guard;
  const int n = 768;
  at::Tensor a = at::ones({n, n}), b = at::ones({n, n}), c = at::ones({n, n});
  const double ms = Fastest(10, [&] { at::mm_out(c, a, b); });
  return 2e-6 * n * n * n / ms;
}

#if defined(__x86_64__)
__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
uint64_t
SumOf(const uint64_t* values, int64_t count) {
  uint64_t sums[32] = {};
  for (int64_t i = 0; i < count; i += 32) {
    for (int j = 0; j < 32; ++j) sums[j] += values[i + j];
  }
  return sums[0] + sums[31];
}

double ReadGigabytes(int64_t bytes) {
  std::vector<uint64_t> values(bytes / 8, 1);
  volatile uint64_t sum = 0;
  const int64_t passes = std::max<int64_t>(1, (int64_t{16} << 20) / bytes);
  const double ms = Fastest(15, [&] {
    for (int64_t i = 0; i < passes; ++i) {
      sum = sum + SumOf(values.data(), static_cast<int64_t>(values.size()));
    }
  });
  return 1e-6 * static_cast<double>(passes * bytes) / ms;
}

}  // namespace

Roofs MeasureRoofs(const kernels::KernelTable& table) {
  Roofs roofs;
  roofs.gflops = PackedGflops(table);
  double both[2];
  std::thread other([&] { both[0] = PackedGflops(table); });
  both[1] = PackedGflops(table);
  other.join();
  roofs.gflops_both = both[0] + both[1];
  roofs.sgemm_gflops = SgemmGflops();
  roofs.l1 = ReadGigabytes(16 << 10);
  roofs.l2 = ReadGigabytes(384 << 10);
  roofs.l3 = ReadGigabytes(8 << 20);
  roofs.memory = ReadGigabytes(256 << 20);
  return roofs;
}

Bound BoundOf(const Demand& demand, const Roofs& roofs) {
  Bound bytes{demand.bytes / (roofs.memory * 1e9), "memory"};
  if (demand.working_set <= 24 << 20) bytes = {demand.bytes / (roofs.l3 * 1e9), "L3"};
  if (demand.working_set <= 768 << 10) bytes = {demand.bytes / (roofs.l2 * 1e9), "L2"};
  if (demand.working_set <= 24 << 10) bytes = {demand.bytes / (roofs.l1 * 1e9), "L1"};
  const Bound flops{demand.flops / (roofs.gflops * 1e9), "compute"};
  return flops.seconds > bytes.seconds ? flops : bytes;
}

}  // namespace firstbyte

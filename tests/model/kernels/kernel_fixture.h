// Runs a test once for each instruction set that this machine has.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "model/kernels/kernels.h"

namespace firstbyte::kernels {

class KernelTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!Supported(GetParam())) GTEST_SKIP() << "not on this machine";
  }
  const KernelTable& table() const { return Kernels(GetParam()); }
};

inline auto AllIsas() { return testing::Values(Isa::kGeneric, Isa::kAvx2, Isa::kAvx512); }
inline std::string NameOfIsa(const testing::TestParamInfo<Isa>& info) {
  return std::string(IsaName(info.param));
}

using Floats = std::vector<float>;

inline std::vector<float> Random(int64_t count, uint32_t seed, float scale = 0.3f) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(count);
  for (float& v : values) v = normal(engine);
  return values;
}

}  // namespace firstbyte::kernels

// Random shapes and contents for the kernel tests, the same in every run.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "model/cuda/steps.h"

namespace firstbyte::cuda {

template <typename T>
T Of(float x) {
  T value;
  Store(x, &value);
  return value;
}

// What a result of T may be off by, as a share of the values at hand.
template <typename T>
constexpr double kTolerance = 2e-5;
template <>
inline constexpr double kTolerance<Bf16> = 1e-2;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class RandomCase {
 public:
  explicit RandomCase(uint64_t seed) : engine_(seed) {}

  int Between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  int OneOf(std::initializer_list<int> values) {
    return values.begin()[Between(0, static_cast<int>(values.size()) - 1)];
  }
  float Normal() { return std::normal_distribution<float>()(engine_); }

  template <typename T>
  std::vector<T> Normals(int64_t count) {
    std::vector<T> values(count);
    for (T& value : values) value = Of<T>(Normal());
    return values;
  }

  // Different slots in any order for a bucket of `rows`, about a quarter of them idle.
  std::vector<int32_t> Slots(int rows, int slots) {
    std::vector<int32_t> all(slots);
    std::iota(all.begin(), all.end(), 0);
    std::shuffle(all.begin(), all.end(), engine_);
    all.resize(rows);
    for (int32_t& slot : all) {
      if (Between(0, 3) == 0) slot = -1;
    }
    return all;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace firstbyte::cuda

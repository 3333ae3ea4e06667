#include "model/cuda/grid.h"

#include <numeric>
#include <vector>

#include "gtest/gtest.h"
#include "model/cuda/emulate.h"

namespace firstbyte::cuda {
namespace {

// Each thread passes a number on to the next; `waits`: with a barrier between write and read.
struct PassOn {
  static constexpr int kThreads = 64;
  struct Shared {
    int numbers[kThreads];
  };
  int* out;
  bool waits;

  Grid grid() const { return {1}; }
  template <typename Block>
  void Run(Block& block, Shared& s) const {
    auto write = [&](int t) { s.numbers[t] = t; };
    auto read = [&](int t) { out[t] = s.numbers[(t + 1) % kThreads]; };
    if (waits) {
      block.Each(write);
      block.Each(read);
    } else {
      block.Each([&](int t) {
        write(t);
        read(t);
      });
    }
  }
};

std::vector<int> Passed(bool waits, ThreadOrder order) {
  std::vector<int> out(PassOn::kThreads);
  Emulate(PassOn{out.data(), waits}, order);
  return out;
}

TEST(Emulate, AMissingBarrierShows) {
  EXPECT_EQ(Passed(true, ThreadOrder::kForward), Passed(true, ThreadOrder::kBackward));
  EXPECT_NE(Passed(false, ThreadOrder::kForward), Passed(false, ThreadOrder::kBackward));
}

// Counts visits of each place of a grid, and sums thread numbers warp by warp.
struct Visit {
  static constexpr int kThreads = 64;
  struct Shared {};
  Grid size;
  int* visits;
  float* sums;

  Grid grid() const { return size; }
  template <typename Block>
  void Run(Block& block, Shared&) const {
    typename Block::template PerThread<float> value;
    block.Each([&](int t) { value[t] = static_cast<float>(t); });
    block.WarpSum(value);
    block.Each([&](int t) {
      const int place = (block.at.z * size.y + block.at.y) * size.x + block.at.x;
      block.Add(&visits[place], 1);
      sums[t] = value[t];
    });
  }
};

TEST(Emulate, VisitsEveryBlockAndSumsWarpByWarp) {
  const Grid size = {3, 2, 4};
  for (ThreadOrder order : {ThreadOrder::kForward, ThreadOrder::kBackward}) {
    std::vector<int> visits(24, 0);
    std::vector<float> sums(64);
    Emulate(Visit{size, visits.data(), sums.data()}, order);
    EXPECT_EQ(visits, std::vector<int>(24, 64));
    EXPECT_EQ(std::vector<float>(sums.begin(), sums.begin() + 32), std::vector<float>(32, 496));
    EXPECT_EQ(std::vector<float>(sums.begin() + 32, sums.end()), std::vector<float>(32, 1520));
  }
}

TEST(Emulate, ASideOfZeroIsNoWork) {
  Emulate(Visit{{5, 0, 1}, nullptr, nullptr}, ThreadOrder::kForward);
}

}  // namespace
}  // namespace firstbyte::cuda

#include "model/cuda/picture.h"

#include <cmath>

#include "tests/model/cuda/executor.h"
#include "tests/model/cuda/random_case.h"

namespace firstbyte::cuda {
namespace {

constexpr uint8_t kUntouched = 77;

// One axis of a resize: the pixels that the centre of pixel `i` lies between, plainly.
struct Axis {
  Axis(int i, int from, int to) {
    const double at = std::max(0.0, (i + 0.5) * from / to - 0.5);
    first = std::min(static_cast<int>(at), from - 1);
    second = std::min(first + 1, from - 1);
    share = at - first;
  }
  int first, second;
  double share;
};

class PictureTest : public KernelTest {
 protected:
  // Maps of random sizes, of a session each, become pictures of another size.
  template <typename T>
  void Check(uint64_t seed) {
    SCOPED_TRACE(seed);
    RandomCase random(seed);
    const int rows = random.Between(1, 4), ratio = random.OneOf({1, 2, 3});
    const int height = random.OneOf({1, 4, 9}), width = random.OneOf({1, 5, 8});
    const int stride = 3 * ratio * ratio + random.Between(0, 5);
    const int to_height = random.OneOf({1, ratio * height, 2 * height + 1, 30});
    const int to_width = random.OneOf({1, ratio * width, 3 * width, 17});
    const int64_t shown = int64_t{1} * to_height * to_width * 3, apart = shown + 5;
    const std::vector<int32_t> slots = random.Slots(rows, rows + 2);
    std::vector<T> x = random.Normals<T>(int64_t{1} * rows * height * width * stride);
    Executor& e = Fresh();
    uint8_t* bytes = e.Put(std::vector<uint8_t>(rows * apart, kUntouched));
    e.Run(PictureStep<T>{.x = e.Put(x),
                         .slots = e.Put(slots),
                         .bytes = bytes,
                         .bytes_stride = apart,
                         .rows = rows,
                         .height = height,
                         .width = width,
                         .ratio = ratio,
                         .x_stride = stride,
                         .to_height = to_height,
                         .to_width = to_width});
    const std::vector<uint8_t> made = e.Get(bytes, rows * apart);
    const auto value = [&](int row, int line, int place, int c) {
      const int part = (line % ratio * ratio + place % ratio) * 3 + c;
      const int pixel = (row * height + line / ratio) * width + place / ratio;
      return std::clamp(double{ToFloat(x[pixel * stride + part])}, 0.0, 1.0);
    };
    for (int64_t i = 0; i < rows * apart; ++i) {
      const int row = static_cast<int>(i / apart), at = static_cast<int>(i % apart), c = at % 3;
      if (at >= shown || slots[row] < 0) {
        ASSERT_EQ(made[i], kUntouched) << "row " << row << " at " << at;
        continue;
      }
      const Axis line(at / 3 / to_width, ratio * height, to_height);
      const Axis place(at / 3 % to_width, ratio * width, to_width);
      const auto across = [&](int y) {
        return value(row, y, place.first, c) * (1 - place.share) +
               value(row, y, place.second, c) * place.share;
      };
      const double want = across(line.first) * (1 - line.share) + across(line.second) * line.share;
      ASSERT_NEAR(made[i], want * 255, 0.501) << "row " << row << " at " << at;
    }
  }
};

TEST_P(PictureTest, OpensResizesAndRounds) {
  for (uint64_t seed = 0; seed < 40; ++seed) ASSERT_NO_FATAL_FAILURE(Check<float>(seed));
  for (uint64_t seed = 100; seed < 120; ++seed) ASSERT_NO_FATAL_FAILURE(Check<Bf16>(seed));
}

TEST_P(PictureTest, WhatIsNoNumberIsBlack) {
  Executor& e = Fresh();
  uint8_t* bytes = e.Put(std::vector<uint8_t>(3, kUntouched));
  e.Run(PictureStep<float>{.x = e.Put(std::vector<float>{kNan, 0.5f, 7}),
                           .slots = e.Put(std::vector<int32_t>{0}),
                           .bytes = bytes,
                           .bytes_stride = 3,
                           .rows = 1,
                           .height = 1,
                           .width = 1,
                           .ratio = 1,
                           .x_stride = 3,
                           .to_height = 1,
                           .to_width = 1});
  EXPECT_EQ(e.Get(bytes, 3), (std::vector<uint8_t>{0, 128, 255}));
}

INSTANTIATE_TEST_SUITE_P(On, PictureTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda

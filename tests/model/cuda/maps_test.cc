#include "model/cuda/maps.h"

#include "model/kernels/maps.h"
#include "tests/model/cuda/executor.h"
#include "tests/model/cuda/random_case.h"

namespace firstbyte::cuda {
namespace {

constexpr float kEpsilon = 1e-5f, kUntouched = -77;

// Maps of random sizes, pixels a random stride apart.
template <typename T>
struct Case {
  explicit Case(RandomCase* random)
      : rows(random->Between(1, 4)),
        height(random->OneOf({1, 2, 5, 16})),
        width(random->OneOf({1, 3, 8, 16})),
        channels(random->OneOf({1, 6, 33, 56})),
        stride(channels + random->Between(0, 9)),
        slots(random->Slots(rows, rows + 2)),
        x(random->Normals<T>(int64_t{1} * rows * height * width * stride)) {}

  // Maps of the same size for every slot.
  Case OfSlots(RandomCase* random) const {
    Case past = *this;
    past.rows = rows + 2;
    past.x = random->Normals<T>(int64_t{1} * past.rows * height * width * stride);
    return past;
  }

  // Channel `c` of a place that may lie outside, where there are zeros.
  float At(int row, int line, int place, int c) const {
    if (line < 0 || line >= height || place < 0 || place >= width) return 0;
    return ToFloat(x[((int64_t{row} * height + line) * width + place) * stride + c]);
  }

  int rows, height, width, channels, stride;
  std::vector<int32_t> slots;
  std::vector<T> x;
};

class MapsTest : public KernelTest {
 protected:
  template <typename T>
  void CheckTaps(uint64_t seed) {
    SCOPED_TRACE(seed);
    RandomCase random(seed);
    const Case<T> c(&random);
    const bool looks_back = random.Between(0, 1) == 1;
    const int scale = random.OneOf({1, 1, 2}), height = scale * c.height, width = scale * c.width;
    const int channels = looks_back ? 2 * c.channels : c.channels;
    const int taps_stride = 9 * channels + random.Between(0, 9);
    const int64_t pixels = int64_t{1} * c.rows * height * width;
    const Case<T> past = c.OfSlots(&random);
    Executor& e = Fresh();
    T* taps = e.Put(std::vector<T>(pixels * taps_stride, Of<T>(kUntouched)));
    e.Run(TapsStep<T>{.x = e.Put(c.x),
                      .slots = e.Put(c.slots),
                      .taps = taps,
                      .rows = c.rows,
                      .height = height,
                      .width = width,
                      .channels = c.channels,
                      .x_stride = c.stride,
                      .taps_stride = taps_stride,
                      .past = looks_back ? e.Put(past.x) : nullptr,
                      .scale = scale});
    const std::vector<T> made = e.Get(taps, pixels * taps_stride);
    for (int64_t i = 0; i < pixels * taps_stride; ++i) {
      const int64_t pixel = i / taps_stride, in_map = pixel % (height * width);
      const int row = static_cast<int>(pixel / (height * width));
      const int at = static_cast<int>(i % taps_stride), tap = at / channels;
      const int line = static_cast<int>(in_map / width) + tap / 3 - 1;
      const int place = static_cast<int>(in_map % width) + tap % 3 - 1, channel = at % channels;
      float want = 0;
      if (tap < 9 && line >= 0 && place >= 0 && c.slots[row] >= 0) {
        want = channel < c.channels
                   ? c.At(row, line / scale, place / scale, channel)
                   : past.At(c.slots[row], line / scale, place / scale, channel - c.channels);
      }
      ASSERT_EQ(ToFloat(made[i]), c.slots[row] < 0 ? kUntouched : want)
          << "pixel " << pixel << " at " << at;
    }
  }

  template <typename T>
  void CheckShuffle(uint64_t seed) {
    SCOPED_TRACE(seed);
    RandomCase random(seed);
    Case<T> c(&random);
    const int ratio = random.OneOf({1, 2, 4}), inner = random.OneOf({1, 3, 20});
    const int y_stride = inner + random.Between(0, 3);
    c.stride = ratio * ratio * inner + random.Between(0, 5);
    c.x = random.Normals<T>(int64_t{1} * c.rows * c.height * c.width * c.stride);
    const int wide = ratio * c.width, pixels = ratio * c.height * wide;
    const int64_t size = int64_t{1} * c.rows * pixels * y_stride;
    const float add = random.OneOf({0, 1}) == 0 ? 0 : 0.5f;
    Executor& e = Fresh();
    T* y = e.Put(std::vector<T>(size, Of<T>(kUntouched)));
    e.Run(ShuffleStep<T>{e.Put(c.x), e.Put(c.slots), y, add, c.rows, c.height, c.width, ratio,
                         inner, c.stride, y_stride});
    const std::vector<T> made = e.Get(y, size);
    T expected;
    for (int64_t i = 0; i < size; ++i) {
      const int at = static_cast<int>(i % y_stride);
      const int pixel = static_cast<int>(i / y_stride % pixels);
      const int row = static_cast<int>(i / y_stride / pixels);
      const int line = pixel / wide, place = pixel % wide;
      const int part = line % ratio * ratio + place % ratio;
      float want = kUntouched;
      if (at < inner && c.slots[row] >= 0) {
        Store(c.At(row, line / ratio, place / ratio, part * inner + at) + add, &expected);
        want = ToFloat(expected);
      }
      ASSERT_EQ(ToFloat(made[i]), want) << "pixel " << pixel << " of " << row << " at " << at;
    }
  }

  // Against the CPU's, which knows no strides and no idle rows.
  template <typename T>
  void CheckNorm(uint64_t seed) {
    SCOPED_TRACE(seed);
    RandomCase random(seed);
    const Case<T> c(&random);
    const auto gain = random.Normals<float>(c.channels), bias = random.Normals<float>(c.channels);
    const int pixels = c.height * c.width;
    Executor& e = Fresh();
    T* y = e.Put(std::vector<T>(c.x.size(), Of<T>(kUntouched)));
    e.Run(MapNormStep<T>{e.Put(c.x), e.Put(gain), e.Put(bias), e.Put(c.slots), y, kEpsilon, c.rows,
                         pixels, c.channels, c.stride});
    const std::vector<T> made = e.Get(y, c.x.size());
    const std::vector<float> expected = NormOnCpu(c, gain, bias);
    for (size_t i = 0; i < made.size(); ++i) {
      const auto at = static_cast<int>(i % c.stride);
      const auto pixel = static_cast<int>(i / c.stride), row = pixel / pixels;
      const bool written = at < c.channels && c.slots[row] >= 0;
      const float want = written ? expected[pixel * c.channels + at] : kUntouched;
      ASSERT_NEAR(ToFloat(made[i]), want, kTolerance<T> * (1 + std::abs(want)))
          << "pixel " << pixel << " at " << at;
    }
  }

 private:
  template <typename T>
  static std::vector<float> NormOnCpu(const Case<T>& c, const std::vector<float>& gain,
                                      const std::vector<float>& bias) {
    std::vector<float> x, y, inside;
    for (size_t i = 0; i < c.x.size(); ++i) {
      if (static_cast<int>(i % c.stride) < c.channels) x.push_back(ToFloat(c.x[i]));
    }
    y.resize(int64_t{1} * c.rows * (c.height + 2) * (c.width + 2) * c.channels);
    kernels::Kernels(kernels::PreferredIsa())
        .map_norm({x.data(), gain.data(), bias.data(), kEpsilon, /*silu=*/false, y.data(), c.rows,
                   c.height, c.width, c.channels});
    for (int line = 0; line < c.rows * c.height; ++line) {
      const int64_t bordered = line / c.height * (c.height + 2) + line % c.height + 1;
      const auto from = y.begin() + (bordered * (c.width + 2) + 1) * c.channels;
      inside.insert(inside.end(), from, from + int64_t{c.width} * c.channels);
    }
    return inside;
  }
};

TEST_P(MapsTest, TapsAreThePixelAndItsNeighboursWithZerosOutside) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    ASSERT_NO_FATAL_FAILURE(CheckTaps<float>(seed));
    ASSERT_NO_FATAL_FAILURE(CheckTaps<Bf16>(seed + 100));
  }
}

TEST_P(MapsTest, ShuffleOpensPixels) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    ASSERT_NO_FATAL_FAILURE(CheckShuffle<float>(seed));
    ASSERT_NO_FATAL_FAILURE(CheckShuffle<Bf16>(seed + 100));
  }
}

TEST_P(MapsTest, NormIsTheCpus) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    ASSERT_NO_FATAL_FAILURE(CheckNorm<float>(seed));
    ASSERT_NO_FATAL_FAILURE(CheckNorm<Bf16>(seed + 100));
  }
}

// A mean that is large beside what is left.
TEST_P(MapsTest, NormKeepsWhatLiesAboveALargeMean) {
  const int channels = 8, pixels = 256;
  std::vector<float> x(channels * pixels);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 1000 + (i % 2 == 0 ? 1 : -1);
  Executor& e = Fresh();
  float* y = e.Put(x);
  e.Run(MapNormStep<float>{e.Put(x), e.Put(std::vector<float>(channels, 1)),
                           e.Put(std::vector<float>(channels, 0)), e.Put(std::vector<int32_t>{0}),
                           y, kEpsilon, 1, pixels, channels, channels});
  const std::vector<float> made = e.Get(y, x.size());
  for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(made[i], i % 2 == 0 ? 1 : -1, 1e-4) << i;
}

INSTANTIATE_TEST_SUITE_P(On, MapsTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda

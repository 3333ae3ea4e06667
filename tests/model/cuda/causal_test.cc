#include "model/cuda/causal.h"

#include <cmath>

#include "tests/model/cuda/executor.h"
#include "tests/model/cuda/segments.h"

namespace firstbyte::cuda {
namespace {

constexpr int kStreams = 4, kRows = 3;
constexpr float kUntouched = -77;

class CausalTest : public KernelTest {
 protected:
  // Taps of cut streams are those of the streams; what was asked for is written and nothing else.
  template <typename T>
  void CheckTaps(uint64_t seed) {
    SCOPED_TRACE(seed);
    RandomCase random(seed);
    const int channels = random.OneOf({1, 5, 32, 82}), mels = 20, places = random.OneOf({2, 9, 21});
    const int x_stride = channels + random.Between(0, 8);
    const int taps_stride = 3 * channels + random.Between(0, 7);
    const auto values = random.Normals<T>(int64_t{kStreams} * mels * channels);
    const auto value = [&](int stream, int64_t mel, int channel) {
      return mel < 0 ? 0 : ToFloat(values[(int64_t{stream} * mels + mel) * channels + channel]);
    };
    Executor& e = Fresh();
    // A stream before left something.
    T* tails = e.Put(std::vector<T>(int64_t{kStreams} * 2 * channels, Of<T>(kNan)));
    for (const CutStep& cut : CutStreams(&random, kStreams, mels, places, kRows)) {
      const int rows = kRows;
      std::vector<T> x(int64_t{rows} * places * x_stride, Of<T>(kNan));
      for (int row = 0; row < rows; ++row) {
        const Segment& segment = cut.segments[row];
        for (int i = 0; cut.slots[row] >= 0 && i < segment.count * channels; ++i) {
          const int64_t mel = segment.begin + i / channels;
          if (mel < 0) continue;
          Store(value(cut.slots[row], mel, i % channels),
                &x[(int64_t{row} * places + i / channels) * x_stride + i % channels]);
        }
      }
      T* taps = e.Put(std::vector<T>(int64_t{rows} * places * taps_stride, Of<T>(kUntouched)));
      e.Run(CausalTapsStep<T>{.x = e.Put(x),
                              .segments = e.Put(cut.segments),
                              .slots = e.Put(cut.slots),
                              .tails = tails,
                              .taps = taps,
                              .rows = rows,
                              .places = places,
                              .channels = channels,
                              .x_stride = x_stride,
                              .taps_stride = taps_stride});
      const std::vector<T> made = e.Get(taps, int64_t{rows} * places * taps_stride);
      for (size_t i = 0; i < made.size(); ++i) {
        const int at = static_cast<int>(i) % taps_stride, tap = at / channels;
        const int row = static_cast<int>(i) / taps_stride / places;
        const int place = static_cast<int>(i) / taps_stride % places;
        const Segment& segment = cut.segments[row];
        float expected = 0;
        if (cut.slots[row] < 0 || place >= segment.count) {
          expected = ToFloat(Of<T>(kUntouched));
        } else if (tap < 3) {
          expected = value(cut.slots[row], segment.begin + place - 2 + tap, at % channels);
        }
        ASSERT_EQ(ToFloat(made[i]), expected) << "row " << row << ", place " << place << ", " << at;
      }
    }
  }

  template <typename T>
  void CheckGate(uint64_t seed) {
    SCOPED_TRACE(seed);
    RandomCase random(seed);
    const int rows = random.Between(1, 7), width = random.OneOf({1, 48, 256, 300});
    const int x_stride = 2 * width + random.Between(0, 3), y_stride = width + random.Between(0, 3);
    auto x = random.Normals<T>(int64_t{rows} * x_stride);
    x[0] = Of<T>(200);  // where tanh and sigmoid are flat
    x[width] = Of<T>(-200);
    Executor& e = Fresh();
    T* y = e.Put(std::vector<T>(int64_t{rows} * y_stride, Of<T>(kUntouched)));
    e.Run(TanhGateStep<T>{e.Put(x), y, x_stride, y_stride, rows, width});
    const std::vector<T> made = e.Get(y, int64_t{rows} * y_stride);
    for (int i = 0; i < rows * y_stride; ++i) {
      const int row = i / y_stride, at = i % y_stride;
      const T* from = x.data() + int64_t{row} * x_stride + at;
      const double expected = at < width ? std::tanh(double{ToFloat(from[0])}) /
                                               (1 + std::exp(-double{ToFloat(from[width])}))
                                         : kUntouched;
      ASSERT_NEAR(ToFloat(made[i]), expected, kTolerance<T> * (1 + std::abs(expected))) << i;
    }
  }
};

TEST_P(CausalTest, TapsOfAStreamAreTheSameHoweverItIsCut) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    ASSERT_NO_FATAL_FAILURE(CheckTaps<float>(seed));
    ASSERT_NO_FATAL_FAILURE(CheckTaps<Bf16>(seed + 100));
  }
}

TEST_P(CausalTest, GateIsTanhTimesSigmoid) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    ASSERT_NO_FATAL_FAILURE(CheckGate<float>(seed));
    ASSERT_NO_FATAL_FAILURE(CheckGate<Bf16>(seed + 100));
  }
}

INSTANTIATE_TEST_SUITE_P(On, CausalTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda

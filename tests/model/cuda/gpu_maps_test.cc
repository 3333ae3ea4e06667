#include "model/cuda/gpu_maps.h"

#include <algorithm>
#include <numeric>

#include "gtest/gtest.h"
#include "model/kernels/maps.h"
#include "tests/model/cuda/random_case.h"
#include "tests/model/cuda/test_device.h"

namespace firstbyte::cuda {
namespace {

using Floats = std::vector<float>;

// A convolution and maps for it, and what the CPU makes of them.
struct Case {
  explicit Case(RandomCase* random)
      : rows(random->Between(1, 5)),
        side(random->OneOf({1, 4, 8, 16})),
        n(random->OneOf({3, 20, 48})),
        channels(random->OneOf({5, 8, 56})),
        weight(random->Normals<float>(int64_t{9} * n * channels)),
        bias(random->Normals<float>(n)),
        x(random->Normals<float>(int64_t{1} * rows * side * side * channels)) {}

  Floats OnCpu(kernels::Epilogue epilogue, Floats y) const {
    Floats by_tap(weight.size()), panels(kernels::PackedFloats(n, 9 * channels)), padded(bias);
    for (size_t i = 0; i < weight.size(); ++i) {
      const size_t row = i / (9 * channels), c = i / 9 % channels, tap = i % 9;
      by_tap[(row * 9 + tap) * channels + c] = weight[i];
    }
    padded.resize((n + kernels::kPanel - 1) / kernels::kPanel * kernels::kPanel);
    kernels::PackWeights(by_tap.data(), n, 9 * channels, panels.data());
    const kernels::PackedWeights packed = {panels.data(), padded.data(), n, 9 * channels};
    Floats bordered(int64_t{1} * rows * (side + 2) * (side + 2) * channels);
    for (int line = 0; line < rows * side; ++line) {
      const int64_t to = int64_t{line / side} * (side + 2) + line % side + 1;
      std::copy_n(x.begin() + int64_t{1} * line * side * channels, side * channels,
                  bordered.begin() + (to * (side + 2) + 1) * channels);
    }
    kernels::Kernels(kernels::PreferredIsa())
        .conv3x3({&packed, bordered.data(), y.data(), rows, side, side, channels, epilogue,
                  /*bordered=*/false});
    return y;
  }

  int rows, side, n, channels;
  Floats weight, bias, x;
};

// [pixels, channels] with every pixel at its stride.
Floats Spread(const Floats& from, int channels) {
  const int stride = Padded(channels);
  Floats to(from.size() / channels * stride);
  for (size_t i = 0; i < from.size(); ++i) to[i / channels * stride + i % channels] = from[i];
  return to;
}

class GpuConvTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::string why;
    std::optional<TestDevice> test = OpenTestDevice(GetParam(), &why);
    if (!test) GTEST_SKIP() << why;
    gpu_ = std::make_unique<Gpu>(*test->plugin, std::move(test->device));
  }

  // Maps `first` and on, `count` of them, over `y`.
  Floats Run(const Case& c, const GpuConv3x3& conv, int first, int count, const Floats& before) {
    const int64_t size = int64_t{1} * c.side * c.side, wide = size * Padded(c.n);
    const Floats in = Spread(c.x, c.channels), out = Spread(before, c.n);
    const auto part = [&](const Floats& all, int64_t each) {
      return absl::MakeConstSpan(all).subspan(first * each, count * each);
    };
    const auto x = *Upload<float>(gpu_.get(), part(in, size * Padded(c.channels)));
    const auto y = *Upload<float>(gpu_.get(), part(out, wide));
    const auto taps = *gpu_->NewArray<float>(GpuConv3x3::TapFloats(c.channels, size * count));
    std::vector<int32_t> every(count);
    std::iota(every.begin(), every.end(), 0);
    const auto slots = *Upload<int32_t>(gpu_.get(), every);
    Floats made(count * wide);
    absl::Status status = conv.Forward(Queue::kSteps, {slots.get(), count, c.side, c.side}, x.get(),
                                       taps.get(), y.get());
    status.Update(gpu_->Call(gpu_->plugin().to_host, Queue::kSteps, made.data(), y.get(),
                             static_cast<int64_t>(made.size() * sizeof(float))));
    status.Update(gpu_->Call(gpu_->plugin().wait));
    EXPECT_TRUE(status.ok()) << status;
    return made;
  }

  std::unique_ptr<Gpu> gpu_;
};

TEST_P(GpuConvTest, IsTheCpusAndAMapDoesNotKnowItsBatch) {
  RandomCase random(7);
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE(round);
    const Case c(&random);
    const bool add = round % 3 == 1, silu = round % 3 == 2;
    const int64_t pixels = int64_t{1} * c.rows * c.side * c.side;
    const Floats before = random.Normals<float>(pixels * c.n);
    auto conv = GpuConv3x3::Create(gpu_.get(),
                                   {.n = c.n,
                                    .channels = c.channels,
                                    .activation = silu ? Activation::kSilu : Activation::kNone,
                                    .add = add,
                                    .most_pixels = static_cast<int>(pixels)},
                                   c.weight, c.bias);
    ASSERT_TRUE(conv.ok()) << conv.status();
    const Floats made = Run(c, *conv, 0, c.rows, before);
    const auto epilogue = add    ? kernels::Epilogue::kAdd
                          : silu ? kernels::Epilogue::kSilu
                                 : kernels::Epilogue::kNone;
    const Floats expected = Spread(c.OnCpu(epilogue, before), c.n);
    for (size_t i = 0; i < made.size(); ++i) ASSERT_NEAR(made[i], expected[i], 2e-4) << "at " << i;
    const int row = c.rows - 1;
    const Floats alone = Run(c, *conv, row, 1, before);
    ASSERT_TRUE(std::equal(alone.begin(), alone.end(), made.begin() + alone.size() * row));
  }
}

INSTANTIATE_TEST_SUITE_P(On, GpuConvTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda

#include "model/kernels/maps.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tests/model/kernels/kernel_fixture.h"

namespace firstbyte::kernels {
namespace {

using MapsTest = KernelTest;

// [maps, height, width, channels] -> the same in a border of zeros.
std::vector<float> Bordered(const std::vector<float>& x, int maps, int height, int width,
                            int channels) {
  std::vector<float> out(maps * (height + 2) * (width + 2) * channels, 0.0f);
  for (int i = 0; i < maps * height; ++i) {
    const int line = i / height * (height + 2) + i % height + 1;
    std::copy_n(&x[i * width * channels], width * channels,
                &out[(line * (width + 2) + 1) * channels]);
  }
  return out;
}

struct Convolution {
  Convolution(int n, int c)
      : n(n),
        channels(c),
        weights(Random(n * 9 * c, 1)),
        bias((n + kPanel - 1) / kPanel * kPanel),
        panels(PackedFloats(n, 9 * c)) {
    auto values = Random(n, 2);
    std::copy(values.begin(), values.end(), bias.begin());
    PackWeights(weights.data(), n, 9 * c, panels.data());
    packed = {panels.data(), bias.data(), n, 9 * c};
  }

  std::vector<float> Run(const KernelTable& table, const std::vector<float>& x, int maps,
                         int height, int width, bool bordered_out = false) const {
    std::vector<float> y(maps * height * width * n);
    if (bordered_out) y = Bordered(y, maps, height, width, n);
    auto bordered = Bordered(x, maps, height, width, channels);
    table.conv3x3({&packed, bordered.data(), y.data(), maps, height, width, channels,
                   Epilogue::kNone, bordered_out});
    return y;
  }

  int n, channels;
  std::vector<float> weights, bias;
  Floats panels;
  PackedWeights packed;
};

TEST_P(MapsTest, ConvolutionMatchesDoublePrecision) {
  for (auto [n, c, height, width] :
       {std::array{48, 3, 8, 8}, {96, 48, 4, 4}, {1, 1, 1, 1}, {33, 5, 3, 16}, {20, 7, 5, 13}}) {
    Convolution conv(n, c);
    auto x = Random(height * width * c, 3);
    auto y = conv.Run(table(), x, 1, height, width);
    for (int i = 0; i < height * width; ++i) {
      for (int out = 0; out < n; ++out) {
        double sum = conv.bias[out];
        for (int tap = 0; tap < 9; ++tap) {
          const int line = i / width + tap / 3 - 1, place = i % width + tap % 3 - 1;
          if (line < 0 || line >= height || place < 0 || place >= width) continue;
          for (int in = 0; in < c; ++in) {
            sum +=
                double{x[(line * width + place) * c + in]} * conv.weights[(out * 9 + tap) * c + in];
          }
        }
        ASSERT_NEAR(y[i * n + out], sum, 3e-5) << "pixel " << i << " channel " << out;
      }
    }
  }
}

TEST_P(MapsTest, AMapDoesNotDependOnTheBatch) {
  Convolution conv(48, 20);
  const int height = 8, width = 8, size = height * width * 20;
  auto x = Random(3 * size, 5);
  auto all = conv.Run(table(), x, 3, height, width);
  for (int map = 0; map < 3; ++map) {
    auto one =
        conv.Run(table(), {x.begin() + map * size, x.begin() + (map + 1) * size}, 1, height, width);
    ASSERT_EQ(0, std::memcmp(one.data(), &all[map * one.size()], sizeof(float) * one.size()));
  }
}

TEST_P(MapsTest, ConvolutionLeavesTheBorderOfItsOutput) {
  Convolution conv(40, 6);
  auto x = Random(2 * 4 * 4 * 6, 9);
  EXPECT_EQ(conv.Run(table(), x, 2, 4, 4, true),
            Bordered(conv.Run(table(), x, 2, 4, 4), 2, 4, 4, 40));
}

// Against the direct kernel, which is checked above.
TEST_P(MapsTest, WinogradMatchesTheDirectConvolution) {
  for (auto [n, c, height, width] : {std::array{48, 56, 16, 16}, {33, 5, 2, 4}, {56, 20, 8, 8}}) {
    Convolution conv(n, c);
    std::vector<float> products(16 * n * c), zeros(conv.bias.size(), 0.0f);
    std::vector<float> by_channel(conv.weights.size());  // [n, channels, 9]
    for (int i = 0; i < n * c * 9; ++i) {
      by_channel[(i / (9 * c) * c + i % c) * 9 + i / c % 9] = conv.weights[i];
    }
    WinogradWeights(by_channel.data(), n, c, products.data());
    Floats panels(16 * PackedFloats(n, c));
    PackedWeights packed[16];
    for (int i = 0; i < 16; ++i) {
      PackWeights(&products[i * n * c], n, c, &panels[i * PackedFloats(n, c)]);
      packed[i] = {&panels[i * PackedFloats(n, c)], zeros.data(), n, c};
    }
    std::vector<float> scratch(WinogradScratchFloats(height, width, c, n));
    const int maps = 5, size = height * width;
    auto x = Random(maps * size * c, 3);
    auto run = [&](const std::vector<float>& from, int count, Epilogue epilogue, bool bordered) {
      std::vector<float> y(count * size * n, 0.25f);
      if (bordered) y = Bordered(y, count, height, width, n);
      auto in = Bordered(from, count, height, width, c);
      table().winograd({packed, &conv.packed, in.data(), y.data(), count, height, width, c,
                        epilogue, bordered, scratch.data()});
      return y;
    };
    const auto direct = conv.Run(table(), x, maps, height, width);
    const auto all = run(x, maps, Epilogue::kNone, false);
    for (size_t i = 0; i < all.size(); ++i) ASSERT_NEAR(all[i], direct[i], 1e-4) << i;
    EXPECT_EQ(run(x, maps, Epilogue::kNone, true), Bordered(all, maps, height, width, n));
    const auto sum = run(x, maps, Epilogue::kAdd, false);
    for (size_t i = 0; i < all.size(); ++i) ASSERT_EQ(sum[i], 0.25f + all[i]) << i;
    for (int map = 0; map < maps; ++map) {  // alone as in the batch
      auto one = run({x.begin() + map * size * c, x.begin() + (map + 1) * size * c}, 1,
                     Epilogue::kNone, false);
      ASSERT_EQ(0, std::memcmp(one.data(), &all[map * size * n], sizeof(float) * size * n));
    }
  }
}

TEST_P(MapsTest, NormalisesAWholeMap) {
  const int maps = 2, height = 3, width = 4, c = 21, size = height * width * c;
  auto x = Random(maps * size, 6, 2.0f), gain = Random(c, 7), bias = Random(c, 8);
  for (bool silu : {false, true}) {
    std::vector<float> y(maps * (height + 2) * (width + 2) * c, 0.0f), expected(maps * size);
    table().map_norm(
        {x.data(), gain.data(), bias.data(), 1e-5f, silu, y.data(), maps, height, width, c});
    for (int map = 0; map < maps; ++map) {
      double sum = 0, squares = 0;
      for (int i = 0; i < size; ++i) sum += x[map * size + i];
      const double mean = sum / size;
      for (int i = 0; i < size; ++i) squares += std::pow(x[map * size + i] - mean, 2);
      for (int i = map * size; i < (map + 1) * size; ++i) {
        double v = (x[i] - mean) / std::sqrt(squares / size + 1e-5) * gain[i % c] + bias[i % c];
        expected[i] = static_cast<float>(silu ? v / (1 + std::exp(-v)) : v);
      }
    }
    expected = Bordered(expected, maps, height, width, c);  // and the border stays zero
    for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(y[i], expected[i], 3e-6) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, MapsTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::kernels

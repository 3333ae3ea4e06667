// LibTorch's own operators are the oracle.
#include "model/nn/layers.h"

#include <cstring>
#include <random>
#include <vector>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "model/nn/map_layers.h"
#include "model/nn/weight_loader.h"

namespace firstbyte::nn {
namespace {

std::vector<float> Random(int64_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0, 0.3f);
  std::vector<float> values(count);
  for (float& v : values) v = normal(engine);
  return values;
}

at::Tensor View(std::vector<float>& values, const std::vector<int64_t>& shape) {
  return at::from_blob(values.data(), shape, at::kFloat);
}

void ExpectClose(std::vector<float>& mine, const std::vector<int64_t>& shape,
                 const at::Tensor& theirs) {
  EXPECT_TRUE(at::allclose(View(mine, shape), theirs, 1e-5, 1e-5))
      << (View(mine, shape) - theirs).abs().max().item<float>();
}

TEST(Linear, MatchesAten) {
  const int n = 82, k = 61, m = 7;
  auto weight = Random(n * k, 1), bias = Random(n, 2), x = Random(m * k, 3);
  std::vector<float> y(m * n);
  Linear(kernels::Kernels(), weight, bias, n, k).Forward(x.data(), m, y.data(), Epilogue::kSilu);
  ExpectClose(y, {m, n},
              at::silu(at::linear(View(x, {m, k}), View(weight, {n, k}), View(bias, {n}))));
}

class CausalConvTest : public testing::Test {
 protected:
  static constexpr int kOut = 33, kIn = 12, kTaps = CausalConv::kTaps, kTiles = 9;
  static constexpr int kTile = kernels::kCausalRows, kRows = kTiles * kTile;

  CausalConvTest()
      : weight_(Random(kOut * kIn * kTaps, 4)),
        bias_(Random(kOut, 5)),
        x_(Random(kRows * kIn, 6)),
        conv_(kernels::Kernels(), weight_, bias_, kOut, kIn) {}

  // The stream's tiles through pieces of the given sizes, the last repeated.
  std::vector<float> Stream(std::vector<int> sizes) {
    std::vector<float> tail(conv_.tail_floats(), 0.0f), y(kRows * kOut);
    for (int at = 0, i = 0; at < kTiles; ++i) {
      const int size = sizes[std::min<size_t>(i, sizes.size() - 1)];
      ConvSegment segment{tail.data(), std::min(size, kTiles - at)};
      conv_.Forward(&x_[at * kTile * kIn], {&segment, 1}, &scratch_, &y[at * kTile * kOut]);
      at += segment.tiles;
    }
    return y;
  }

  std::vector<float> weight_, bias_, x_;
  CausalConv conv_;
  CausalConv::Scratch scratch_{kTiles, kIn};
};

TEST_F(CausalConvTest, MatchesAten) {
  auto y = Stream({kTiles});
  auto padded = at::constant_pad_nd(View(x_, {1, kRows, kIn}).transpose(1, 2), {kTaps - 1, 0});
  auto theirs = at::conv1d(padded, View(weight_, {kOut, kIn, kTaps}), View(bias_, {kOut}));
  ExpectClose(y, {kRows, kOut}, theirs[0].transpose(0, 1));
}

TEST_F(CausalConvTest, CutsDoNotShow) {
  auto whole = Stream({kTiles});
  for (std::vector<int> sizes : {std::vector{1}, {2}, {5, 1, 3}, {1, 7, 1}}) {
    EXPECT_EQ(Stream(sizes), whole);
  }
}

TEST_F(CausalConvTest, SegmentsDoNotMeet) {
  std::vector<float> tail(conv_.tail_floats(), 0.0f), y(kRows * kOut);
  std::vector<float> other_tail = Random(conv_.tail_floats(), 8);
  auto whole = Stream({kTiles});
  const int other = 3;  // the first tiles belong to somebody else
  std::vector<ConvSegment> segments = {{other_tail.data(), other}, {tail.data(), kTiles - other}};
  std::vector<float> mixed = Random(other * kTile * kIn, 9);
  mixed.insert(mixed.end(), x_.begin(), x_.begin() + (kTiles - other) * kTile * kIn);
  conv_.Forward(mixed.data(), segments, &scratch_, y.data());
  EXPECT_EQ(0, std::memcmp(&y[other * kTile * kOut], whole.data(),
                           sizeof(float) * (kTiles - other) * kTile * kOut));
}

TEST(RmsNorm, MatchesItsFormula) {
  const int m = 3, n = 40;
  auto gain = Random(n, 1), x = Random(m * n, 2);
  std::vector<float> y(m * n);
  RmsNorm(kernels::Kernels(), gain, 1e-5f).Forward(x.data(), m, y.data());
  at::Tensor t = View(x, {m, n});
  ExpectClose(y, {m, n}, t * at::rsqrt(t.square().mean(-1, true) + 1e-5) * View(gain, {n}));
}

TEST(Embedding, CopiesARow) {
  std::vector<float> table = {1, 2, 3, 4, 5, 6}, out(2);
  Embedding(table, 3, 2).Copy(2, out.data());
  EXPECT_EQ(out, (std::vector<float>{5, 6}));
}

TEST(WeightLoader, KeepsTheFirstProblem) {
  std::string header = R"({"a.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}})";
  std::vector<uint8_t> file(8, 0);
  file[0] = static_cast<uint8_t>(header.size());
  file.insert(file.end(), header.begin(), header.end());
  file.insert(file.end(), {0, 0, 0x80, 0x7F});  // infinity
  auto reader = SafeTensors::Parse(file, "f");
  ASSERT_TRUE(reader.ok()) << reader.status();
  WeightLoader loader(*reader, kernels::Kernels());
  loader.LoadLinear("a", 1, 1, Bias::kNo);
  EXPECT_NE(loader.status().message().find("not finite"), std::string::npos) << loader.status();
  loader.LoadVector("missing", 3);
  EXPECT_NE(loader.status().message().find("not finite"), std::string::npos) << loader.status();
}

// [maps, height, width, channels] as PyTorch's [maps, channels, height, width].
at::Tensor Picture(std::vector<float>& values, const std::vector<int64_t>& shape) {
  return View(values, shape).permute({0, 3, 1, 2});
}

TEST(MapLayers, NormAndConvolutionMatchAten) {
  const int maps = 2, height = 8, width = 4, channels = 20, n = 33;
  auto x = Random(maps * height * width * channels, 1), gain = Random(channels, 2);
  auto offset = Random(channels, 3), weight = Random(n * channels * 9, 4), bias = Random(n, 5);
  std::vector<float> bordered(maps * (height + 2) * (width + 2) * channels);
  std::vector<float> y(maps * height * width * n);
  MapNorm norm(kernels::Kernels(), gain, offset, 1e-5f);
  norm.Forward(x.data(), maps, height, width, /*silu=*/true, bordered.data());
  Conv3x3 conv(kernels::Kernels(), weight, bias, n, channels);
  conv.Forward(bordered.data(), maps, height, width, y.data());
  at::Tensor normed =
      at::silu(at::group_norm(Picture(x, {maps, height, width, channels}), 1,
                              View(gain, {channels}), View(offset, {channels}), 1e-5));
  at::Tensor expected =
      at::conv2d(normed, View(weight, {n, channels, 3, 3}), View(bias, {n}), 1, 1);
  ExpectClose(y, {maps, height, width, n}, expected.permute({0, 2, 3, 1}));
  WinogradConv winograd(kernels::Kernels(), weight, bias, n, channels);
  std::vector<float> scratch(winograd.scratch_floats(height, width)), z(y.size());
  winograd.Forward(bordered.data(), maps, height, width, z.data(), Epilogue::kNone,
                   /*bordered=*/false, scratch.data());
  ExpectClose(z, {maps, height, width, n}, expected.permute({0, 2, 3, 1}));
}

}  // namespace
}  // namespace firstbyte::nn

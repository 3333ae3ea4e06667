#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tests/model/kernels/kernel_fixture.h"

namespace firstbyte::kernels {
namespace {

constexpr int kHeads = 2, kWindow = 16, kWidth = kHeads * kHeadDim;
constexpr int kRing = kHeads * kHeadDim * kWindow;

class AttentionTest : public KernelTest {
 protected:
  AttentionTest() {
    for (int i = 0; i < 32; ++i) frequencies_[i] = std::pow(1000.0, -i / 32.0);
  }

  // One step of the streams whose rings are given; qkv [rows, 3 * width].
  std::vector<float> Step(std::vector<float> qkv, std::vector<int32_t> positions,
                          std::vector<float*> keys, std::vector<float*> values) {
    const int rows = static_cast<int>(positions.size());
    std::vector<float> cosines(rows * 32), sines(rows * 32), out(rows * kWidth);
    table().rope_table(positions.data(), frequencies_, rows, cosines.data(), sines.data());
    table().attention({qkv.data(), cosines.data(), sines.data(), positions.data(), keys.data(),
                       values.data(), out.data(), rows, kHeads, kWindow});
    return out;
  }

  // Head `h` of frame `t` over the whole history, in double.
  std::vector<double> Expected(const std::vector<std::vector<float>>& frames, int t, int h) {
    auto rotated = [&](int frame, int part) {
      std::vector<double> x(kHeadDim);
      const float* raw = &frames[frame][part * kWidth + h * kHeadDim];
      for (int i = 0; i < 32; ++i) {
        double angle = frequencies_[i] * frame, c = std::cos(angle), s = std::sin(angle);
        x[i] = raw[i] * c - raw[i + 32] * s;
        x[i + 32] = raw[i + 32] * c + raw[i] * s;
      }
      return x;
    };
    std::vector<double> q = rotated(t, 0), out(kHeadDim, 0.0);
    double total = 0;
    for (int j = std::max(0, t - kWindow + 1); j <= t; ++j) {
      std::vector<double> k = rotated(j, 1);
      double dot = 0;
      for (int i = 0; i < kHeadDim; ++i) dot += q[i] * k[i];
      double weight = std::exp(dot / 8);
      total += weight;
      for (int i = 0; i < kHeadDim; ++i) {
        out[i] += weight * frames[j][2 * kWidth + h * kHeadDim + i];
      }
    }
    for (double& v : out) v /= total;
    return out;
  }

  double frequencies_[32];
};

TEST_P(AttentionTest, SeesTheLastWindowOfFrames) {
  std::vector<float> keys(kRing, 1e9f), values(kRing, 1e9f);  // stale contents must not matter
  std::vector<std::vector<float>> frames;
  for (int t = 0; t < 3 * kWindow; ++t) {
    frames.push_back(Random(3 * kWidth, 100 + t, 1.0f));
    auto out = Step(frames[t], {t}, {keys.data()}, {values.data()});
    for (int h = 0; h < kHeads; ++h) {
      auto expected = Expected(frames, t, h);
      for (int i = 0; i < kHeadDim; ++i) {
        ASSERT_NEAR(out[h * kHeadDim + i], expected[i], 1e-5) << "frame " << t << " head " << h;
      }
    }
  }
}

TEST_P(AttentionTest, RowsOfABatchDoNotMeet) {
  std::vector<float> keys(kRing), values(kRing), other_keys(kRing), other_values(kRing);
  std::vector<float> keys2(kRing), values2(kRing);
  for (int t = 0; t < 20; ++t) {
    auto mine = Random(3 * kWidth, t), other = Random(3 * kWidth, 900 + t);
    auto alone = Step(mine, {t}, {keys.data()}, {values.data()});
    std::vector<float> both = other;
    both.insert(both.end(), mine.begin(), mine.end());
    auto batched = Step(both, {t + 5, t}, {other_keys.data(), keys2.data()},
                        {other_values.data(), values2.data()});
    ASSERT_EQ(0, std::memcmp(alone.data(), &batched[kWidth], sizeof(float) * kWidth)) << t;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, AttentionTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::kernels

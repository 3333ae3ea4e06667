#include "model/kernels/philox.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte::kernels {
namespace {

using testing::ElementsAre;

// Known answers published with the generator (Random123, kat_vectors, philox4x32 10).
TEST(Philox, MatchesThePublishedVectors) {
  EXPECT_THAT(Philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  const uint32_t ones = 0xffffffff;
  EXPECT_THAT(Philox4x32({ones, ones, ones, ones}, {ones, ones}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(
      Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(UniformNoise, IsTheSameHoweverItIsCut) {
  std::vector<float> whole(1000), pieces(1000);
  UniformNoise(42, 0, 1000, NoisePurpose::kExcitation, whole.data());
  for (int at = 0, size = 1; at < 1000; at += size, size = size % 7 + 1) {
    int count = std::min(size, 1000 - at);
    UniformNoise(42, at, count, NoisePurpose::kExcitation, &pieces[at]);
  }
  EXPECT_EQ(whole, pieces);
}

TEST(UniformNoise, HasUnitVarianceAndDependsOnTheSeed) {
  std::vector<float> a(100000), b(100000);
  UniformNoise(1, 0, 100000, NoisePurpose::kExcitation, a.data());
  UniformNoise(uint64_t{1} << 32, 0, 100000, NoisePurpose::kExcitation, b.data());
  double mean = 0, square = 0, product = 0;
  for (int i = 0; i < 100000; ++i) {
    mean += a[i] / 1e5;
    square += a[i] * a[i] / 1e5;
    product += a[i] * b[i] / 1e5;
  }
  EXPECT_NEAR(mean, 0, 0.02);
  EXPECT_NEAR(square, 1, 0.02);
  EXPECT_NEAR(product, 0, 0.02);
}

}  // namespace
}  // namespace firstbyte::kernels

#include "codec/pcm.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::ElementsAre;

std::string EncodedPcm(const std::vector<float>& samples) {
  std::string bytes;
  AppendPcm16(samples, &bytes);
  return bytes;
}

TEST(Pcm, IsLittleEndian) {
  EXPECT_EQ(EncodedPcm({258.0f / 32768.0f}), std::string("\x02\x01", 2));
}

TEST(Pcm, ClipsInsteadOfWrapping) {
  EXPECT_EQ(EncodedPcm({1.0f, 7.0f, -1.0f, -7.0f}),
            std::string("\xff\x7f\xff\x7f\x00\x80\x00\x80", 8));
}

TEST(Pcm, RoundsHalfAwayFromZero) {
  auto back =
      FloatFromPcm16(EncodedPcm({1.5f / 32768, -1.5f / 32768, 1.4f / 32768, -1.4f / 32768}));
  for (float& sample : back) sample *= 32768;
  EXPECT_THAT(back, ElementsAre(2, -2, 1, -1));
}

TEST(Pcm, NotANumberIsSilenceAndInfinityClips) {
  float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(EncodedPcm({nan, inf, -inf}), std::string("\x00\x00\xff\x7f\x00\x80", 6));
}

TEST(Pcm, EveryValueSurvivesTheRoundTrip) {
  std::string bytes;
  for (int i = -32768; i < 32768; ++i) {
    bytes.push_back(static_cast<char>(i & 0xff));
    bytes.push_back(static_cast<char>(i >> 8 & 0xff));
  }
  EXPECT_EQ(EncodedPcm(FloatFromPcm16(bytes)), bytes);
}

TEST(Pcm, AppendsAndDropsAnOddByte) {
  std::string bytes = "ab";
  AppendPcm16(std::vector<float>{0.0f}, &bytes);
  EXPECT_EQ(bytes, std::string("ab\0\0", 4));
  EXPECT_EQ(FloatFromPcm16(std::string(5, '\0')).size(), 2u);
}

}  // namespace
}  // namespace firstbyte

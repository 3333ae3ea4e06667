#include "client/loadgen/samples.h"

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

Samples UpTo(int n) {
  Samples samples;
  for (int i = n; i >= 1; --i) samples.Add(i);
  return samples;
}

TEST(Samples, PercentilesAreNearestRank) {
  Samples samples = UpTo(1000);
  EXPECT_EQ(samples.Percentile(0.5), 500);
  EXPECT_EQ(samples.Percentile(0.9), 900);
  EXPECT_EQ(samples.Percentile(0.99), 990);
  EXPECT_EQ(samples.max(), 1000);
  EXPECT_EQ(samples.mean(), 500.5);
}

TEST(Samples, TooFewSamplesHaveNoPercentile) {
  EXPECT_FALSE(UpTo(19).Percentile(0.5));
  EXPECT_TRUE(UpTo(20).Percentile(0.5));
  EXPECT_FALSE(UpTo(99).Percentile(0.9));
  EXPECT_TRUE(UpTo(100).Percentile(0.9));
  EXPECT_FALSE(UpTo(999).Percentile(0.99));
  EXPECT_EQ(Samples().max(), 0);
}

}  // namespace
}  // namespace firstbyte

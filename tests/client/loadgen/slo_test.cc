#include "client/loadgen/slo.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Tally Fast(int calls) {
  Tally tally;
  tally.calls = tally.succeeded = calls;
  for (int i = 0; i < calls; ++i) tally.ttfb.Add(0.010);
  return tally;
}

TEST(Slo, ABoundIsKeptUpToItsLimit) {
  auto bounds = ParseSlo("ttfb_p95=0.010,underruns=0");
  ASSERT_TRUE(bounds.ok()) << bounds.status();
  EXPECT_THAT(BrokenBounds(*bounds, Fast(200)), IsEmpty());
  Tally late = Fast(200);
  for (int i = 0; i < 20; ++i) late.ttfb.Add(0.5);
  late.underruns = 3;
  EXPECT_THAT(BrokenBounds(*bounds, late),
              ElementsAre("ttfb_p95 is 0.5, over 0.01", "underruns is 3, over 0"));
}

TEST(Slo, TooFewSamplesDoNotPass) {
  EXPECT_THAT(BrokenBounds(*ParseSlo("ttfb_p95=1"), Fast(199)),
              ElementsAre("ttfb_p95: too few samples to say; run longer"));
}

TEST(Slo, ErrorsBreakItUnlessAllowed) {
  Tally tally = Fast(200);
  tally.calls = 205;
  EXPECT_THAT(BrokenBounds(*ParseSlo("ttfb_p50=1"), tally), ElementsAre("errors is 5, over 0"));
  EXPECT_THAT(BrokenBounds(*ParseSlo("ttfb_p50=1,errors=5"), tally), IsEmpty());
}

TEST(Slo, TheTightestBoundOnTtfbIsTheTarget) {
  EXPECT_EQ(TtfbTarget(*ParseSlo("ttfb_p95=0.02,ttfb_p50=0.01,underrun=0")), 0.01);
  EXPECT_FALSE(TtfbTarget(*ParseSlo("underruns=0,action_to_frame_p95=0.1")));
}

TEST(Slo, WhatIsNotUnderstoodIsAnError) {
  for (const char* bad :
       {"", "ttfb_p95", "ttfb_p95=x", "ttfb_p42=1", "speed_p95=1", "ttfb=1", "underruns=0=1"}) {
    EXPECT_FALSE(ParseSlo(bad).ok()) << bad;
  }
}

TEST(CallsNeeded, AreThoseOfTheHighestPercentileOfOneSampleACall) {
  const auto needed = [](const char* text) { return CallsNeeded(*ParseSlo(text)); };
  EXPECT_EQ(needed("ttfb_p95=0.05,underruns=0"), 200);
  EXPECT_EQ(needed("ttfb_p95=0.05,ttfa_p99=1"), 1000);
  EXPECT_EQ(needed("gap_p99=0.1,errors=0,ttfb_max=1"), 0) << "a call has many gaps";
}

}  // namespace
}  // namespace firstbyte

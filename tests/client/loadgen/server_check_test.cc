#include "client/loadgen/server_check.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;

Scrape Page(double count, double sum, double underruns) {
  return {{"firstbyte_request_ttfb_seconds_count", count},
          {"firstbyte_request_ttfb_seconds_sum", sum},
          {"firstbyte_stream_underruns_total", underruns}};
}

Tally Timed(int64_t count, double seconds) {
  Tally tally;
  tally.all_timed = count;
  tally.all_server_ttfb_seconds = seconds;
  return tally;
}

TEST(ParseMetrics, AddsUpTheSeriesOfAName) {
  Scrape scrape = ParseMetrics(
      "# HELP a of a\na{x=\"1\"} 2\na{x=\"two } three\"} 3.5\nb 1e3 1700000000\n\nbroken\nc{} x\n");
  EXPECT_EQ(scrape, (Scrape{{"a", 5.5}, {"b", 1000}}));
}

TEST(ServerCheck, ComparesWhatHappenedBetweenTheScrapes) {
  ServerCheck check = CheckServer(Page(10, 1, 4), Page(14, 1.02, 6), Timed(4, 0.0204));
  EXPECT_EQ(check.requests, 4);
  EXPECT_NEAR(check.mean_ttfb, 0.005, 1e-9);
  EXPECT_NEAR(check.our_mean_ttfb, 0.0051, 1e-9);
  EXPECT_EQ(check.underruns, 2);
  EXPECT_TRUE(check.agrees());
  EXPECT_THAT(check.ToLine(), HasSubstr("agrees"));
}

TEST(ServerCheck, AMeanOverAMillisecondAwayDiffers) {
  EXPECT_FALSE(CheckServer(Page(0, 0, 0), Page(4, 0.02, 0), Timed(4, 0.025)).agrees());
  EXPECT_FALSE(CheckServer(Page(0, 0, 0), Page(5, 0.025, 0), Timed(4, 0.02)).agrees())
      << "somebody else was there";
}

TEST(ServerCheck, RequestsWithoutATimingLeaveNothingToCompare) {
  Tally tally = Timed(4, 0.02);
  tally.all_untimed = 2;
  ServerCheck check = CheckServer(Page(0, 0, 0), Page(6, 0.03, 0), tally);
  EXPECT_FALSE(check.agrees());
  EXPECT_THAT(check.ToLine(), HasSubstr("cannot be compared, 2 requests ended without a Timing"));
}

TEST(ServerCheck, CountersThatFallAreARestart) {
  ServerCheck check = CheckServer(Page(10, 1, 0), Page(4, 0.02, 0), Timed(4, 0.02));
  EXPECT_TRUE(check.restarted);
  EXPECT_FALSE(check.agrees());
}

TEST(ScrapeServer, NobodyAnswering) {
  EXPECT_EQ(ScrapeServer("127.0.0.1:1").status().message(),
            "no metrics at http://127.0.0.1:1/metrics");
  EXPECT_FALSE(ScrapeServer("nonsense").ok());
}

}  // namespace
}  // namespace firstbyte

#include "client/loadgen/report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Tally Hundred() {
  Tally tally;
  tally.calls = 101;
  tally.succeeded = 100;
  tally.errors["INTERNAL"] = 1;
  for (int i = 1; i <= 100; ++i) tally.ttfb.Add(i * 1e-3);
  tally.wall_seconds = 10;
  tally.audio_seconds = 400;
  return tally;
}

TEST(Report, TheTableShowsMillisecondsAndWhatIsUnknown) {
  std::string table = ReportTable({.target = "t", .listeners = 4}, Hundred());
  EXPECT_THAT(table, HasSubstr("4 listeners against t, 10.0 s measured"));
  EXPECT_THAT(table, HasSubstr("first byte (TTFB)         50.00    90.00      n/a      n/a   100.00"
                               "      100"));
  EXPECT_THAT(table, HasSubstr("aggregate RTF 0.0250"));
  EXPECT_THAT(table, HasSubstr("101, 1 failed"));
  EXPECT_THAT(table, HasSubstr("INTERNAL"));
  EXPECT_THAT(table, Not(HasSubstr("INVALID")));
}

TEST(Report, JsonHoldsSecondsAndNulls) {
  nlohmann::json json = ReportJson({.listeners = 4}, Hundred());
  EXPECT_EQ(json["mode"], "listeners");
  EXPECT_EQ(json["streams"], 4);
  EXPECT_EQ(json["ttfb_s"]["p50"], 0.05);
  EXPECT_TRUE(json["ttfb_s"]["p99"].is_null());
  EXPECT_EQ(json["errors"]["INTERNAL"], 1);
  EXPECT_EQ(json["audio_s_per_s"], 40);
  EXPECT_EQ(json["valid"], true);
}

}  // namespace
}  // namespace firstbyte

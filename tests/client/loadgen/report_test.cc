#include "client/loadgen/report.h"

#include "client/loadgen/report_json.h"
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
  tally.audio_seconds = 420;
  tally.audio_seconds_in_time = 400;
  return tally;
}

LoadOptions Listeners(double amount) { return {.level = {LoadMode::kListeners, amount}}; }

TEST(Report, TheTableShowsMillisecondsAndWhatIsUnknown) {
  std::string table = ReportTable("t", Listeners(4), Hundred());
  EXPECT_THAT(table, HasSubstr("4 listeners against t, 10.0 s measured"));
  EXPECT_THAT(table, HasSubstr("first byte (TTFB)         50.00    90.00      n/a      n/a      n/a"
                               "   100.00      100"));
  EXPECT_THAT(table, HasSubstr("aggregate RTF 0.0250"));
  EXPECT_THAT(table, HasSubstr("101, 1 failed"));
  EXPECT_THAT(table, HasSubstr("INTERNAL"));
  EXPECT_THAT(table, Not(HasSubstr("INVALID")));
  EXPECT_THAT(table, Not(HasSubstr("action to frame"))) << "that is for worlds";
}

TEST(Report, JsonHoldsSecondsAndNulls) {
  nlohmann::json json = LevelJson(Listeners(4), Hundred());
  EXPECT_EQ(json["mode"], "listeners");
  EXPECT_EQ(json["streams"], 4);
  EXPECT_EQ(json["ttfb_s"]["p50"], 0.05);
  EXPECT_TRUE(json["ttfb_s"]["p99"].is_null());
  EXPECT_EQ(json["errors"]["INTERNAL"], 1);
  EXPECT_EQ(json["audio_s_per_s"], 40);
  EXPECT_EQ(json["valid"], true);
  EXPECT_EQ(json["samples"]["ttfb_s"].size(), 100u);
}

TEST(Report, OfVeryManySamplesEvenlySpacedOnesAreKept) {
  Tally tally = Hundred();
  for (int i = 1; i <= 40'000; ++i) tally.stream_rtf.Add(i * 1e-4);
  nlohmann::json samples = LevelJson(Listeners(1), tally)["samples"]["stream_rtf"];
  ASSERT_EQ(samples.size(), 10'000u);
  EXPECT_NEAR(samples[5'000].get<double>(), 2.0, 1e-3);
}

TEST(Report, ARequestIsOneLineOfTimesSinceTheStart) {
  const absl::Time start = absl::UnixEpoch();
  CallRecord record{.id = 7,
                    .scheduled = start + absl::Seconds(1),
                    .start = start + absl::Milliseconds(1001),
                    .arrivals = {{start + absl::Milliseconds(1005), absl::Milliseconds(20)},
                                 {start + absl::Milliseconds(1009), absl::Milliseconds(40)}},
                    .audible = absl::Milliseconds(10),
                    .end = start + absl::Seconds(2)};
  nlohmann::json json = RecordJson(record, start);
  EXPECT_EQ(json["scheduled_s"], 1.0);
  EXPECT_EQ(json["sent_s"], 1.001);
  EXPECT_EQ(json["first_byte_s"], 1.005);
  EXPECT_EQ(json["first_audible_s"], 1.015);
  EXPECT_EQ(json["chunks"], nlohmann::json::parse("[[1.005, 0.0, 0.02], [1.009, 0.02, 0.04]]"));
  EXPECT_EQ(json["status"], "OK");
}

}  // namespace
}  // namespace firstbyte

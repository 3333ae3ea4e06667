#include "client/loadgen/compare.h"

#include <cmath>
#include <fstream>

#include "client/loadgen/draw.h"
#include "client/loadgen/report_json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;

// A run of 400 calls whose TTFB is 10 ms or so, `factor` times as long.
nlohmann::json Report(double factor, uint64_t seed, int failed = 0) {
  Tally tally;
  tally.calls = 400;
  tally.succeeded = 400 - failed;
  for (int i = 0; i < 400; ++i) {
    tally.ttfb.Add(factor * 0.01 * (0.8 + 0.4 * Fraction(Draw(seed, Purpose::kText, i))));
    tally.underruns_of_call.Add(0);
  }
  nlohmann::json json = LevelJson({.level = {LoadMode::kListeners, 4}}, tally);
  json["schema"] = kReportSchema;
  json["service"] = "speech";
  return json;
}

Verdict VerdictOf(const std::vector<Change>& changes, const std::string& figure) {
  for (const Change& change : changes) {
    if (change.figure == figure) return change.verdict;
  }
  ADD_FAILURE() << "no " << figure;
  return Verdict::kSame;
}

TEST(Compare, ChanceIsNoChange) {
  auto changes = Compare(Report(1, 1), Report(1, 2), 0);
  ASSERT_TRUE(changes.ok()) << changes.status();
  for (const Change& change : *changes) {
    EXPECT_LE(change.low, change.next - change.base) << change.figure;
    EXPECT_GE(change.high, change.next - change.base) << change.figure;
  }
  EXPECT_EQ(VerdictOf(*Compare(Report(1, 1), Report(1, 1), 0), "TTFB p50"), Verdict::kSame);
}

TEST(Compare, ATenthMoreIsWorseAndATenthLessIsBetter) {
  auto slower = Compare(Report(1, 1), Report(1.1, 2), 0.05);
  EXPECT_EQ(VerdictOf(*slower, "TTFB p50"), Verdict::kWorse);
  EXPECT_EQ(VerdictOf(*slower, "TTFB p95"), Verdict::kWorse);
  EXPECT_THAT(CompareTable(*slower), HasSubstr("WORSE"));
  EXPECT_EQ(VerdictOf(*Compare(Report(1, 1), Report(0.9, 2), 0.05), "TTFB p50"), Verdict::kBetter);
  EXPECT_EQ(VerdictOf(*Compare(Report(1, 1), Report(1.1, 2), 0.2), "TTFB p50"), Verdict::kSame)
      << "within the tolerance";
}

TEST(Compare, FailuresAreWorseToo) {
  EXPECT_EQ(VerdictOf(*Compare(Report(1, 1), Report(1, 1, 20), 0.05), "failed share"),
            Verdict::kWorse);
  EXPECT_EQ(VerdictOf(*Compare(Report(1, 1), Report(1, 1, 1), 0.05), "failed share"),
            Verdict::kSame)
      << "one of 400 may be chance";
}

TEST(Compare, AFewRequestsSayNothing) {
  nlohmann::json few = Report(1, 1), worse = Report(1, 1);
  few["calls"] = worse["calls"] = 2;
  few["samples"] = {{"underruns_of_call", {3, 3}}};
  worse["samples"] = {{"underruns_of_call", {4, 4}}};
  EXPECT_THAT(std::string(Compare(few, worse, 0).status().message()),
              HasSubstr("no load with enough samples in common"));
}

TEST(Compare, OfASweepTheSameLoadsAreCompared) {
  nlohmann::json sweep = {{"schema", kReportSchema}, {"service", "speech"}};
  sweep["levels"] = {Report(5, 3), Report(1, 4)};
  sweep["levels"][0]["amount"] = 99;
  auto changes = Compare(sweep, Report(1, 1), 0.05);
  ASSERT_TRUE(changes.ok()) << changes.status();
  EXPECT_EQ((*changes)[0].load, "listeners 4");
  EXPECT_NE(VerdictOf(*changes, "TTFB p50"), Verdict::kBetter);
}

TEST(Compare, WhatCannotBeComparedIsSaid) {
  nlohmann::json other = Report(1, 1), invalid = Report(1, 1), worlds = Report(1, 1),
                 damaged = Report(1, 1);
  other["amount"] = 5;
  invalid["valid"] = false;
  worlds["service"] = "worlds";
  damaged["samples"] = "none";
  auto message = [](const nlohmann::json& next) {
    return std::string(Compare(Report(1, 1), next, 0.05).status().message());
  };
  EXPECT_THAT(message(other), HasSubstr("no load with enough samples in common"));
  EXPECT_THAT(message(invalid), HasSubstr("the new run of listeners 4 is INVALID"));
  EXPECT_THAT(message(worlds), HasSubstr("one report is of speech"));
  EXPECT_THAT(message(damaged), HasSubstr("a report is damaged"));
  EXPECT_THAT(message({{"schema", kReportSchema}}), HasSubstr("a report is damaged"));
}

TEST(ReadReport, WhatIsNoReportIsSaid) {
  const std::string path = testing::TempDir() + "report.json";
  auto message = [&](const std::string& text) {
    std::ofstream(path) << text;
    return std::string(ReadReport(path).status().message());
  };
  EXPECT_EQ(message(Report(1, 1).dump()), "");
  EXPECT_THAT(message(Report(1, 1).dump().substr(0, 300)), HasSubstr("cut off or damaged"));
  EXPECT_THAT(message(""), HasSubstr("is not JSON"));
  EXPECT_THAT(message("[]"), HasSubstr("is not JSON"));
  EXPECT_THAT(message("{}"), HasSubstr("its schema is null"));
  EXPECT_THAT(message("{\"schema\": \"3\"}"), HasSubstr("its schema is \"3\""));
  EXPECT_THAT(message("{\"schema\": 1}"), HasSubstr("its schema is 1"));
  EXPECT_EQ(ReadReport("/nowhere").status().message(), "cannot read /nowhere");
}

}  // namespace
}  // namespace firstbyte

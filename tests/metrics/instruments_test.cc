#include "metrics/instruments.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::AnyOf;
using ::testing::EndsWith;
using ::testing::MatchesRegex;
using Kind = Instrument::Kind;

TEST(Instruments, NamesFollowThePrometheusRules) {
  std::set<std::string> seen;
  for (const Instrument& row : Instruments()) {
    std::string name(row.name);
    EXPECT_TRUE(seen.insert(name).second) << name << " is there twice";
    EXPECT_THAT(name, MatchesRegex("(firstbyte|process)_[a-z][a-z_]*[a-z]"));
    EXPECT_EQ(row.kind == Kind::kCounter, absl::EndsWith(name, "_total")) << name;
    for (const char* unit : {"_ms", "_us", "_millis", "_percent", "_kb", "_minutes"}) {
      EXPECT_FALSE(absl::EndsWith(name, unit)) << name << ": base units only";
    }
    if (row.kind == Kind::kHistogram) {
      EXPECT_THAT(name, AnyOf(EndsWith("_seconds"), EndsWith("_ratio"), EndsWith("_size")));
    }
  }
}

TEST(Instruments, EveryOneIsDefined) {
  for (const Instrument& row : Instruments()) {
    EXPECT_GT(row.help.size(), 15u) << row.name;
    EXPECT_EQ(row.help.back(), '.') << row.name;
  }
}

TEST(Instruments, NoLabelIsUnbounded) {
  const std::set<std::string> allowed = {"method", "model",   "stage", "code", "reason", "state",
                                         "kind",   "version", "isa",   "gpu",  "uuid",   "lane"};
  for (const Instrument& row : Instruments()) {
    for (absl::string_view label : row.labels) {
      EXPECT_EQ(allowed.count(std::string(label)), 1u) << row.name << " " << label;
    }
  }
}

TEST(Instruments, BucketsAscendAndOnlyHistogramsHaveThem) {
  for (const Instrument& row : Instruments()) {
    EXPECT_EQ(row.kind == Kind::kHistogram, !row.buckets.empty()) << row.name;
    EXPECT_TRUE(std::is_sorted(row.buckets.begin(), row.buckets.end(), std::less_equal<>()))
        << row.name;
  }
}

TEST(Instruments, TheReferencePageIsPrintedFromTheTable) {
  std::ostringstream page;
  page << std::ifstream(FIRSTBYTE_SOURCE_DIR "/docs/metrics.md").rdbuf();
  EXPECT_EQ(page.str(), InstrumentsAsMarkdown()) << "run: metrics_doc > docs/metrics.md";
}

}  // namespace
}  // namespace firstbyte

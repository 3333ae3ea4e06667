#include "client/loadgen/levels.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::HasSubstr;

// `good` requests a second at that TTFB.
LevelResult Level(double amount, int64_t good, double ttfb) {
  LevelResult level{.options = {.level = {LoadMode::kQps, amount}}};
  level.tally.calls = level.tally.succeeded = level.tally.good = good;
  level.tally.wall_seconds = 1;
  for (int i = 0; i < 20; ++i) level.tally.ttfb.Add(ttfb);
  return level;
}

TEST(Knee, IsWhereLatencyBeginsToGrowFasterThanWork) {
  std::vector<LevelResult> levels = {Level(1, 10, 0.010), Level(2, 20, 0.010), Level(4, 40, 0.013),
                                     Level(8, 50, 0.100)};
  EXPECT_EQ(Knee(levels), 2u);
  std::string table = LevelTable(levels);
  EXPECT_THAT(table, HasSubstr("<- knee"));
  EXPECT_LT(table.find("open loop of 4"), table.find("<- knee"));
  EXPECT_LT(table.find("<- knee"), table.find("open loop of 8"));
}

TEST(Knee, TwoLevelsHaveNone) {
  EXPECT_FALSE(Knee({Level(1, 10, 0.01), Level(2, 20, 0.01)}));
  EXPECT_FALSE(Knee({Level(1, 0, 0.01), Level(2, 0, 0.01), Level(3, 0, 0.01)}));
}

TEST(Knee, IsNoInvalidLevel) {
  std::vector<LevelResult> levels = {Level(1, 10, 0.01), Level(2, 20, 0.01), Level(4, 90, 0.01)};
  levels[2].tally.server_came_back = true;
  EXPECT_EQ(Knee(levels), 1u);
}

TEST(LevelTable, SaysWhichBoundsBreakAndWhatIsInvalid) {
  std::vector<LevelResult> levels = {Level(1, 10, 0.010), Level(2, 20, 0.010)};
  levels[0].broken = {"underruns is 3, over 0"};
  levels[1].tally.server_gone = true;
  EXPECT_THAT(LevelTable(levels), HasSubstr("over: underruns is 3, over 0"));
  EXPECT_THAT(LevelTable(levels), HasSubstr("INVALID"));
}

double Find(double limit, double start, double most = 4096, LoadMode mode = LoadMode::kListeners) {
  return FindMax(mode, start, most, [limit](double amount) { return amount <= limit; });
}

TEST(FindMax, ComesWithinAnEighth) {
  for (double limit : {1, 2, 3, 7, 8, 9, 64, 100, 333}) {
    double found = Find(limit, 4);
    EXPECT_LE(found, limit);
    EXPECT_GE(found, std::min(limit - 1, limit * 8 / 9)) << limit;
    EXPECT_EQ(found, static_cast<int>(found));
  }
}

TEST(FindMax, StopsWhereItIsTold) { EXPECT_EQ(Find(1e9, 4, 100), 100); }

TEST(FindMax, NothingHoldsIsZero) { EXPECT_EQ(Find(0, 8), 0); }

TEST(FindMax, RatesNeedNotBeWhole) { EXPECT_NEAR(Find(2.7, 2, 4096, LoadMode::kQps), 2.7, 0.5); }

TEST(FindMax, OneFailureOfTwoIsForgiven) {
  int runs = 0;
  EXPECT_EQ(FindMax(LoadMode::kListeners, 8, 8, [&](double) { return ++runs > 1; }), 8);
}

}  // namespace
}  // namespace firstbyte

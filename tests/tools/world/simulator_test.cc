#include "tools/train/world/simulator.h"

#include <array>
#include <cstdint>
#include <numbers>
#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using State = std::array<float, 6>;
using Action = std::array<float, 7>;
using Wisp = std::array<float, 6>;
using Picture = std::vector<uint8_t>;

constexpr Action kForward = {1, 0, 0, 0, 0, 0, 0};
constexpr State kStart = {2.5F, 1.6F, 1.2F, 0, 0, 0};

State Advance(const State& state, const Action& action) {
  State next;
  world_advance(1, state.data(), action.data(), next.data());
  return next;
}

Picture Render(const State& state, int32_t theme, const Wisp* wisp = nullptr) {
  Picture picture(64 * 64 * 3);
  world_render(1, state.data(), &theme, wisp == nullptr ? nullptr : wisp->data(), picture.data());
  return picture;
}

bool Free(const State& state) {
  const float radius = 0.2F;
  uint8_t free = 0;
  world_free(1, state.data(), &radius, &free);
  return free == 1;
}

TEST(SimulatorTest, KeysMoveAlongTheHeadingAndAcrossIt) {
  const State east = {2.5F, 2.0F, 0, 0, 0, 0};
  EXPECT_NEAR(Advance(east, kForward)[0], 2.58F, 1e-4);
  EXPECT_NEAR(Advance(east, {0, 1, 0, 0, 0, 0, 0})[0], 2.42F, 1e-4);
  EXPECT_NEAR(Advance(east, {0, 0, 1, 0, 0, 0, 0})[1], 2.08F, 1e-4);  // left of east is north
  EXPECT_NEAR(Advance(east, {0, 0, 0, 1, 0, 0, 0})[1], 1.92F, 1e-4);
  EXPECT_NEAR(Advance(east, {0, 0, 0, 0, 1, 0, 0})[2], 6 * std::numbers::pi / 180, 1e-4);
  EXPECT_NEAR(Advance(east, {0, 0, 0, 0, 0, 0, 1})[2], -10 * std::numbers::pi / 180, 1e-4);
}

TEST(SimulatorTest, NoKeysLeadThroughAWall) {
  State state = kStart;
  uint32_t chance = 1;
  for (int t = 0; t < 20000; ++t) {
    Action action = {};
    for (float& key : action) key = (chance = chance * 1664525 + 1013904223) >> 31;
    state = Advance(state, action);
    ASSERT_TRUE(Free(state)) << "tick " << t;
  }
}

TEST(SimulatorTest, AWallIsTouchedOnceAndHeardOnce) {
  State state = {2.5F, 2.0F, 0, 0, 0, 0};
  int bumps = 0;
  for (int t = 0; t < 100; ++t) {
    state = Advance(state, kForward);
    bumps += state[5] == 5 ? 1 : 0;
  }
  EXPECT_EQ(bumps, 1);
  EXPECT_EQ(state[4], 1);
  EXPECT_NEAR(state[0], 5 - 0.22F, 2e-3);
}

TEST(SimulatorTest, AStepIsHeardEverySeventhTickOfWalking) {
  State state = {1.0F, 6.0F, 0, 0, 0, 0};
  std::vector<float> loud;
  const int32_t night = 1;
  for (int t = 1; t <= 18; ++t) {
    const State next = Advance(state, kForward);
    std::array<float, 800> moving, still;
    world_sound(1, state.data(), next.data(), &night, moving.data());
    world_sound(1, next.data(), next.data(), &night, still.data());
    if (moving != still) loud.push_back(static_cast<float>(t));
    state = next;
  }
  EXPECT_THAT(loud, testing::ElementsAre(3, 10, 17));
}

TEST(SimulatorTest, WhoPushesAWallWalksOnTheSpot) {
  State state = {5 - 0.22F, 2.0F, 0, 0, 1, 0};
  for (int t = 1; t <= 20; ++t) {
    state = Advance(state, kForward);
    EXPECT_EQ(state[3], t % 7);
  }
  const State still = Advance(state, {});
  EXPECT_EQ(still[3], state[3]);
  EXPECT_EQ(Advance(state, {1, 1})[3], state[3]) << "forward and back are nothing";
}

TEST(SimulatorTest, PicturesRepeatAndDependOnPlaceThemeAndWisp) {
  const Wisp wisp = {1, 3.0F, 3.0F, 0, 0, 0};
  EXPECT_EQ(Render(kStart, 0), Render(kStart, 0));
  EXPECT_NE(Render(kStart, 0), Render(kStart, 1));
  EXPECT_NE(Render(kStart, 0), Render(Advance(kStart, kForward), 0));
  EXPECT_NE(Render(kStart, 0), Render(kStart, 0, &wisp));
}

TEST(SimulatorTest, OnlyChanceBringsAWisp) {
  Wisp wisp = {};
  const std::array<float, 4> quiet = {0, 0, 0, 0}, lucky = {1.7F, 0, 0, 0};
  world_advance_wisp(1, kStart.data(), quiet.data(), wisp.data());
  EXPECT_EQ(wisp[0], 0);
  world_advance_wisp(1, kStart.data(), lucky.data(), wisp.data());
  EXPECT_EQ(wisp[0], 1);
  std::vector<uint8_t> mask(64 * 64);
  world_wisp_mask(1, kStart.data(), wisp.data(), mask.data());
  EXPECT_GT(std::accumulate(mask.begin(), mask.end(), 0), 20);
}

}  // namespace
}  // namespace firstbyte

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "model/world/waypoint/buttons.h"
#include "model/world/waypoint/ops.h"
#include "model/world/waypoint/picture.h"
#include "model/world/waypoint/ring.h"

namespace firstbyte::waypoint {
namespace {

// What a frame should see, said without places: the newest `places` frames on the grid, less the
// oldest of them when this frame is to take its place.
std::set<int64_t> Seen(int64_t frame, const Ring& ring) {
  std::set<int64_t> seen;
  for (int64_t past = 0; past < frame; past += ring.dilation) seen.insert(past);
  while (static_cast<int>(seen.size()) > ring.places) seen.erase(seen.begin());
  if (ring.Keeps(frame) && static_cast<int>(seen.size()) == ring.places) seen.erase(seen.begin());
  return seen;
}

TEST(Ring, EveryFrameSeesTheWindowBeforeIt) {
  for (const Ring ring : {Ring{4, 1}, Ring{4, 2}, Ring{16, 8}, Ring{1, 1}, Ring{3, 5}}) {
    std::vector<int64_t> holds(ring.places, -1);
    for (int64_t frame = 0; frame < 300; ++frame) {
      std::set<int64_t> seen;
      for (int place = 0; place < ring.places; ++place) {
        if (ring.Visible(frame, place)) seen.insert(holds[place]);
      }
      ASSERT_EQ(seen, Seen(frame, ring)) << ring.places << " / " << ring.dilation << ": " << frame;
      if (ring.Keeps(frame)) holds[ring.PlaceOf(frame)] = frame;
    }
  }
}

TEST(Ring, WithoutGapsAFrameSeesTheSameAndItself) {
  for (const Ring ring : {Ring{4, 1}, Ring{4, 2}, Ring{16, 8}, Ring{1, 1}, Ring{3, 5}}) {
    for (int64_t frame = 0; frame < 300; ++frame) {
      std::set<int> places = {ring.Here(frame)}, first;
      for (int place = 0; place < ring.places; ++place) {
        if (ring.Visible(frame, place)) places.insert(place);
      }
      for (int place = 0; place < ring.Seen(frame); ++place) first.insert(place);
      ASSERT_EQ(first, places) << ring.places << " / " << ring.dilation << ": " << frame;
      ASSERT_FALSE(ring.Visible(frame, ring.Here(frame)));
      ASSERT_LE(ring.Here(frame), ring.tail());
      ASSERT_TRUE(!ring.Keeps(frame) || ring.Here(frame) == ring.PlaceOf(frame));
    }
  }
}

TEST(Buttons, AreNamedByTheirCodes) {
  const std::vector<std::string> names = ButtonNames(256);
  EXPECT_EQ(names[0x57], "W");
  EXPECT_EQ(names[0x20], "SPACE");
  EXPECT_EQ(names[0x10], "SHIFT");
  EXPECT_EQ(names[0x01], "MOUSE_LEFT");
  EXPECT_EQ(names[0x70], "F1");
  EXPECT_EQ(names[0x69], "NUMPAD_9");
  EXPECT_EQ(names[0xE5], "VK_E5");
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), 256u);
}

TEST(Bf16, RoundsToTheNearest) {
  EXPECT_EQ(RoundToBf16(1.0f), 1.0f);
  EXPECT_EQ(RoundToBf16(0.9f), 0.8984375f);
  EXPECT_EQ(RoundToBf16(-0.3f), -0.30078125f);
  EXPECT_EQ(RoundToBf16(1.00390625f), 1.0f);  // a tie goes to even
}

TEST(Picture, WhatIsNoNumberIsBlack) {
  const float x[] = {0.0f, 1.0f, 0.5f, -3.0f, 7.0f, NAN, 128.5f / 255};
  uint8_t bytes[7];
  ToBytes(x, 7, bytes);
  EXPECT_EQ(std::vector<uint8_t>(bytes, bytes + 7),
            (std::vector<uint8_t>{0, 255, 128, 0, 255, 0, 128}));
}

}  // namespace
}  // namespace firstbyte::waypoint

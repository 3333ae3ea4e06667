#include "server/scheduler/lane_watch.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class LaneWatchTest : public testing::Test {
 protected:
  void Look(int times) {
    for (int i = 0; i < times; ++i) watch_.Look();
  }

  uint64_t first_ = 0, second_ = 0;  // even: between two iterations
  std::vector<int> stalled_;
  LaneWatch watch_{{.iterations = {[this] { return first_; }, [this] { return second_; }},
                    .timeout = absl::Seconds(60),
                    .on_stall = [this](int lane) { stalled_.push_back(lane); }}};
};

TEST_F(LaneWatchTest, AnIdleLaneNeverStalls) {
  Look(1000);
  EXPECT_THAT(stalled_, IsEmpty());
}

TEST_F(LaneWatchTest, ALaneThatGoesOnNeverStalls) {
  for (int i = 0; i < 1000; ++i) {
    first_ += 2;  // under way whenever it is looked at, but not with the same
    second_ = 1 + 2 * (i / 4);
    Look(1);
  }
  EXPECT_THAT(stalled_, IsEmpty());
}

TEST_F(LaneWatchTest, AnIterationThatStaysIsToldOnce) {
  second_ = 7;
  Look(4);
  EXPECT_THAT(stalled_, IsEmpty());
  Look(1);
  EXPECT_THAT(stalled_, ElementsAre(1));
  Look(100);
  EXPECT_THAT(stalled_, ElementsAre(1));
}

}  // namespace
}  // namespace firstbyte

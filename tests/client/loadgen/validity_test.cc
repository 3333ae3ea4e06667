#include "client/loadgen/validity.h"

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

CallRecord Sent(absl::Duration late) {
  CallRecord record;
  record.scheduled = absl::UnixEpoch();
  record.start = record.scheduled + late;
  return record;
}

TEST(Validity, MoreThanOneInAHundredSentTooLateIsInvalid) {
  Tally tally;
  tally.rules.ttfb_target = absl::Milliseconds(40);
  for (int i = 0; i < 198; ++i) tally.Add(Sent(absl::Milliseconds(4)));
  for (int i = 0; i < 2; ++i) tally.Add(Sent(absl::Milliseconds(5)));
  EXPECT_THAT(WhyInvalid(tally), IsEmpty());
  tally.Add(Sent(absl::Milliseconds(5)));
  EXPECT_THAT(WhyInvalid(tally),
              ElementsAre("3 of 201 requests were sent over 4.0 ms after they were due: this "
                          "machine is too busy to generate the load"));
}

TEST(Validity, OneLateRequestOfAFewIsForgiven) {
  Tally tally;
  tally.Add(Sent(absl::ZeroDuration()));
  tally.Add(Sent(absl::Seconds(1)));
  EXPECT_THAT(WhyInvalid(tally), IsEmpty());
}

TEST(Validity, TheLimitIsAMillisecondAtLeast) {
  EXPECT_EQ(SendLagLimit({.ttfb_target = absl::Milliseconds(5)}), absl::Milliseconds(1));
  EXPECT_EQ(SendLagLimit({.ttfb_target = absl::Milliseconds(50)}), absl::Milliseconds(5));
}

TEST(Validity, NothingButRefusalsIsInvalid) {
  Tally tally;
  CallRecord refused{.status =
                         Error(absl::StatusCode::kResourceExhausted,
                               {.reason = "NO_SLOT", .retry_after = absl::Seconds(1)}, "full")};
  tally.Add(refused);
  tally.Add(refused);
  EXPECT_THAT(WhyInvalid(tally),
              ElementsAre("every request was refused: 2 of 2 (RESOURCE_EXHAUSTED/NO_SLOT)"));
  tally.Add(CallRecord{.status = absl::InternalError("x")});
  EXPECT_THAT(WhyInvalid(tally),
              ElementsAre("no request of 3 succeeded (most: RESOURCE_EXHAUSTED/NO_SLOT)"));
  tally.Add(CallRecord{});
  EXPECT_THAT(WhyInvalid(tally), IsEmpty());
}

TEST(Validity, NoRequestAtAllIsInvalid) {
  EXPECT_THAT(WhyInvalid(Tally{}),
              ElementsAre("no request began in the measured time and ended; run longer"));
}

}  // namespace
}  // namespace firstbyte

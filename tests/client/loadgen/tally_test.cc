#include "client/loadgen/tally.h"

#include "base/error.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kJitter = absl::Milliseconds(20);

CallRecord Call(absl::Duration ttfb, std::optional<absl::Duration> gap = std::nullopt) {
  CallRecord record{.start = absl::UnixEpoch()};
  record.arrivals.push_back({record.start + ttfb, absl::Milliseconds(100)});
  if (gap) record.arrivals.push_back({record.start + ttfb + *gap, absl::Milliseconds(100)});
  record.end = record.arrivals.back().at;
  record.audible = absl::Milliseconds(30);
  record.summary.mutable_timing()->mutable_first_byte_duration()->set_nanos(4'000'000);
  record.summary.mutable_timing()->set_realtime_factor(0.05);
  return record;
}

TEST(Tally, CountsFromTheStartOfTheCall) {
  Tally tally;
  tally.Add(Call(absl::Milliseconds(5)), absl::ZeroDuration(), kJitter);
  EXPECT_DOUBLE_EQ(tally.ttfb.max(), 0.005);
  EXPECT_DOUBLE_EQ(tally.ttfa.max(), 0.035);
  EXPECT_NEAR(tally.ttfb_beyond_server.max(), 0.001, 1e-12);
  EXPECT_EQ(tally.stream_rtf.max(), 0.05);
  EXPECT_EQ(tally.succeeded, 1);
}

TEST(Tally, AddsUpUnderrunsAndAudio) {
  Tally tally;
  tally.Add(Call(absl::Milliseconds(5), absl::Milliseconds(150)), absl::ZeroDuration(), kJitter);
  tally.Add(Call(absl::Milliseconds(5), absl::Milliseconds(90)), absl::ZeroDuration(), kJitter);
  tally.wall_seconds = 0.1;
  EXPECT_EQ(tally.underruns, 1);
  EXPECT_EQ(tally.calls_with_underruns, 1);
  EXPECT_NEAR(tally.stalled_seconds, 0.05, 1e-9);
  EXPECT_DOUBLE_EQ(tally.audio_seconds_per_second(), 4);
  EXPECT_DOUBLE_EQ(tally.aggregate_rtf(), 0.25);
}

TEST(Tally, ErrorsAreCountedByCodeAndReason) {
  Tally tally;
  CallRecord refused{.status = Error(absl::StatusCode::kResourceExhausted, "NO_SLOT", "full")};
  CallRecord broken{.status = absl::InternalError("x")};
  tally.Add(refused, absl::ZeroDuration(), kJitter);
  tally.Add(refused, absl::ZeroDuration(), kJitter);
  tally.Add(broken, absl::ZeroDuration(), kJitter);
  EXPECT_EQ(tally.failed(), 3);
  EXPECT_EQ(tally.errors.at("RESOURCE_EXHAUSTED/NO_SLOT"), 2);
  EXPECT_EQ(tally.errors.at("INTERNAL"), 1);
  EXPECT_EQ(tally.ttfb.size(), 0u);
}

TEST(Tally, ARunWhoseGeneratorWasLateIsInvalid) {
  Tally tally;
  for (int i = 0; i < 99; ++i) tally.Add(Call(kJitter), absl::Milliseconds(1), kJitter);
  tally.Add(Call(kJitter), absl::Milliseconds(11), kJitter);
  EXPECT_TRUE(tally.valid());
  tally.Add(Call(kJitter), absl::Milliseconds(11), kJitter);
  EXPECT_FALSE(tally.valid());
}

}  // namespace
}  // namespace firstbyte

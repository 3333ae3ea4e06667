#include "client/loadgen/tally.h"

#include "base/error.h"
#include "gtest/gtest.h"

namespace firstbyte {
namespace {

CallRecord Call(absl::Duration ttfb, std::optional<absl::Duration> gap = std::nullopt) {
  CallRecord record;
  record.scheduled = record.start = absl::UnixEpoch();
  record.arrivals.push_back({record.start + ttfb, absl::Milliseconds(100)});
  if (gap) record.arrivals.push_back({record.start + ttfb + *gap, absl::Milliseconds(100)});
  record.end = record.arrivals.back().at;
  record.audible = absl::Milliseconds(30);
  record.timing.emplace();
  record.timing->mutable_first_byte_duration()->set_nanos(4'000'000);
  record.timing->set_realtime_factor(0.05);
  return record;
}

TEST(Tally, CountsFromTheStartOfTheCall) {
  Tally tally;
  tally.Add(Call(absl::Milliseconds(5)));
  EXPECT_DOUBLE_EQ(tally.ttfb.max(), 0.005);
  EXPECT_DOUBLE_EQ(tally.ttfa.max(), 0.035);
  EXPECT_NEAR(tally.ttfb_beyond_server.max(), 0.001, 1e-12);
  EXPECT_EQ(tally.stream_rtf.max(), 0.05);
  EXPECT_EQ(tally.succeeded, 1);
}

TEST(Tally, AddsUpUnderrunsAndAudio) {
  Tally tally;
  for (int gap_ms : {150, 90}) {
    const CallRecord call = Call(absl::Milliseconds(5), absl::Milliseconds(gap_ms));
    tally.Add(call);
    tally.NoteArrivals(call, absl::InfinitePast(), absl::InfiniteFuture());
  }
  tally.wall_seconds = 0.1;
  EXPECT_EQ(tally.underruns, 1);
  EXPECT_EQ(tally.calls_with_underruns, 1);
  EXPECT_NEAR(tally.stalled_seconds, 0.05, 1e-9);
  EXPECT_DOUBLE_EQ(tally.audio_seconds_per_second(), 4);
  EXPECT_DOUBLE_EQ(tally.aggregate_rtf(), 0.25);
}

TEST(Tally, ErrorsAreCountedByCodeAndReason) {
  Tally tally;
  CallRecord refused{.status = Error(absl::StatusCode::kResourceExhausted,
                                     {.reason = "NO_SLOT", .retry_after = absl::Milliseconds(250)},
                                     "full")};
  CallRecord broken{.status = absl::InternalError("x")};
  tally.Add(refused);
  tally.Add(refused);
  tally.Add(broken);
  EXPECT_EQ(tally.failed(), 3);
  EXPECT_EQ(tally.errors.at("RESOURCE_EXHAUSTED/NO_SLOT"), 2);
  EXPECT_EQ(tally.errors.at("INTERNAL"), 1);
  EXPECT_EQ(tally.ttfb.size(), 0u);
  EXPECT_EQ(tally.rejected, 2);
  EXPECT_DOUBLE_EQ(tally.retry_after.mean(), 0.25);
}

TEST(Tally, AnOpenLoopCountsFromWhenACallWasDue) {
  CallRecord late = Call(absl::Milliseconds(5));
  late.scheduled = late.start - absl::Milliseconds(40);
  Tally closed, open;
  open.rules.from_scheduled = true;
  closed.Add(late);
  open.Add(late);
  EXPECT_DOUBLE_EQ(closed.ttfb.max(), 0.005);
  EXPECT_DOUBLE_EQ(open.ttfb.max(), 0.045);
  EXPECT_DOUBLE_EQ(open.ttfa.max(), 0.075);
  EXPECT_DOUBLE_EQ(open.send_lag.max(), 0.040);
  EXPECT_NEAR(open.ttfb_beyond_server.max(), 0.001, 1e-12) << "the server is not blamed for it";
}

TEST(Tally, GoodCallsKeepTheTargetAndPlayOn) {
  Tally tally;
  tally.rules.ttfb_target = absl::Milliseconds(10);
  tally.Add(Call(absl::Milliseconds(10)));
  tally.Add(Call(absl::Milliseconds(11)));
  tally.Add(Call(absl::Milliseconds(5), absl::Milliseconds(150)));  // runs dry
  EXPECT_EQ(tally.succeeded, 3);
  EXPECT_EQ(tally.good, 1);
}

TEST(Tally, CallsThatThisClientEndedAreNoFailures) {
  Tally tally;
  CallRecord record = Call(absl::Milliseconds(5));
  record.status = absl::CancelledError();
  record.abandoned = true;
  record.behaviour = Behaviour::kCancel;
  tally.Add(record);
  EXPECT_EQ(tally.left, 1);
  EXPECT_EQ(tally.failed(), 0);
  record.behaviour = Behaviour::kListen;  // cut at the end of the run
  tally.Add(record);
  EXPECT_EQ(tally.failed(), 1);
  EXPECT_EQ(tally.errors.at("DRAIN_TIMEOUT"), 1);
}

TEST(Tally, ASlowReadersGapsAreItsOwn) {
  Tally tally;
  CallRecord record = Call(absl::Milliseconds(5), absl::Seconds(2));
  record.behaviour = Behaviour::kReadSlowly;
  tally.Add(record);
  EXPECT_EQ(tally.underruns, 0);
  EXPECT_EQ(tally.chunk_gap.size(), 0u);
  EXPECT_EQ(tally.ttfb.size(), 1u);
}

TEST(Tally, WorldsCountFramesAndActions) {
  Tally tally;
  CallRecord record = Call(absl::Milliseconds(5), absl::Milliseconds(50));
  record.audible.reset();
  record.frames = 8;
  record.late_blocks = 1;
  record.action_to_frame = {absl::Milliseconds(30), absl::Milliseconds(50)};
  tally.Add(record);
  tally.wall_seconds = 2;
  EXPECT_EQ(tally.blocks, 2);
  EXPECT_EQ(tally.PerSecond(tally.frames), 4);
  EXPECT_DOUBLE_EQ(tally.action_to_frame.mean(), 0.04);
  EXPECT_EQ(tally.late_blocks, 1);
}

}  // namespace
}  // namespace firstbyte

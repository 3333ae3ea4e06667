#include "client/loadgen/tally.h"

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kLate = absl::Milliseconds(10);

double Seconds(const google::protobuf::Duration& d) { return d.seconds() + d.nanos() * 1e-9; }

std::string ErrorName(const absl::Status& status) {
  std::string code = absl::StatusCodeToString(status.code());
  std::string reason = DetailOf(status).reason;
  return reason == code ? code : absl::StrCat(code, "/", reason);
}

}  // namespace

double Tally::audio_seconds_per_second() const {
  return wall_seconds > 0 ? audio_seconds / wall_seconds : 0;
}

double Tally::aggregate_rtf() const { return audio_seconds > 0 ? wall_seconds / audio_seconds : 0; }

void Tally::Add(const CallRecord& record, absl::Duration late, absl::Duration jitter_buffer) {
  ++calls;
  lateness.Add(absl::ToDoubleSeconds(late));
  if (late > kLate) ++late_calls;
  if (auto first = record.ttfb()) {
    double seconds = absl::ToDoubleSeconds(*first);
    ttfb.Add(seconds);
    if (record.audible) {
      leading_silence.Add(absl::ToDoubleSeconds(*record.audible));
      ttfa.Add(seconds + absl::ToDoubleSeconds(*record.audible));
    }
  }
  for (size_t i = 1; i < record.arrivals.size(); ++i) {
    chunk_gap.Add(absl::ToDoubleSeconds(record.arrivals[i].at - record.arrivals[i - 1].at));
  }
  Playback playback = SimulatePlayback(record.arrivals, jitter_buffer);
  underruns += playback.underruns;
  calls_with_underruns += playback.underruns > 0;
  stalled_seconds += absl::ToDoubleSeconds(playback.stalled);
  audio_seconds += absl::ToDoubleSeconds(playback.media);
  if (!record.status.ok()) {
    ++errors[ErrorName(record.status)];
    return;
  }
  ++succeeded;
  if (record.summary.has_timing()) {
    const v1::Timing& timing = record.summary.timing();
    stream_rtf.Add(timing.realtime_factor());
    if (auto first = record.ttfb()) {
      ttfb_beyond_server.Add(absl::ToDoubleSeconds(*first) - Seconds(timing.first_byte_duration()));
    }
  }
}

}  // namespace firstbyte

#include "client/loadgen/tally.h"

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "client/proto_time.h"

namespace firstbyte {
namespace {

constexpr size_t kShown = 24;
constexpr int64_t kShownDry = 8;

double Seconds(const google::protobuf::Duration& d) { return absl::ToDoubleSeconds(FromProto(d)); }

std::string ErrorName(const CallRecord& record) {
  if (record.abandoned) return "DRAIN_TIMEOUT";  // by us, at the end of the run
  std::string code = absl::StatusCodeToString(record.status.code());
  std::string reason = DetailOf(record.status).reason;
  return reason == code ? code : absl::StrCat(code, "/", reason);
}

bool LeftOnPurpose(const CallRecord& record) {
  return record.abandoned &&
         (record.behaviour == Behaviour::kCancel || record.behaviour == Behaviour::kDisconnect);
}

}  // namespace

double Tally::PerSecond(double amount) const {
  return wall_seconds > 0 ? amount / wall_seconds : 0;
}

double Tally::aggregate_rtf() const {
  return audio_seconds_in_time > 0 ? wall_seconds / audio_seconds_in_time : 0;
}

void Tally::Add(const CallRecord& record) {
  ++calls;
  send_lag.Add(absl::ToDoubleSeconds(record.start - record.scheduled));
  AddMedia(record);
  AddEnd(record);
}

void Tally::NoteTiming(const CallRecord& record) {
  if (record.arrivals.empty()) return;
  if (!record.timing) {
    ++all_untimed;
    return;
  }
  ++all_timed;
  all_server_ttfb_seconds += Seconds(record.timing->first_byte_duration());
}

void Tally::NoteArrivals(const CallRecord& record, absl::Time from, absl::Time to) {
  for (const Arrival& arrival : record.arrivals) {
    if (arrival.at < from || arrival.at >= to) continue;
    audio_seconds_in_time += absl::ToDoubleSeconds(arrival.media);
    frames_in_time += static_cast<double>(record.frames) / record.arrivals.size();
  }
}

void Tally::AddMedia(const CallRecord& record) {
  if (auto first =
          record.first_byte_after(rules.from_scheduled ? record.scheduled : record.start)) {
    const double seconds = absl::ToDoubleSeconds(*first);
    ttfb.Add(seconds);
    if (record.audible) {
      leading_silence.Add(absl::ToDoubleSeconds(*record.audible));
      ttfa.Add(seconds + absl::ToDoubleSeconds(*record.audible));
    }
  }
  for (absl::Duration shown : record.action_to_frame) {
    action_to_frame.Add(absl::ToDoubleSeconds(shown));
  }
  if (!record.action_to_frame.empty() || record.frames > 0) blocks += record.arrivals.size();
  frames += record.frames;
  late_blocks += record.late_blocks;
  skipped_blocks += record.skipped_blocks;
  for (const Arrival& arrival : record.arrivals) {
    audio_seconds += absl::ToDoubleSeconds(arrival.media);
  }
  if (record.behaviour == Behaviour::kReadSlowly) return;  // its gaps are its own
  for (size_t i = 1; i < record.arrivals.size(); ++i) {
    chunk_gap.Add(absl::ToDoubleSeconds(record.arrivals[i].at - record.arrivals[i - 1].at));
  }
  const Playback playback = SimulatePlayback(record.arrivals, rules.jitter_buffer);
  underruns += playback.underruns;
  underruns_of_call.Add(playback.underruns);
  calls_with_underruns += playback.underruns > 0;
  stalled_seconds += absl::ToDoubleSeconds(playback.stalled);
  Show(record, playback.underruns > 0);
}

void Tally::AddEnd(const CallRecord& record) {
  if (LeftOnPurpose(record)) {
    ++left;
    return;
  }
  if (!record.status.ok()) {
    ++errors[ErrorName(record)];
    if (auto delay = DetailOf(record.status).retry_after) {
      ++rejected;
      retry_after.Add(absl::ToDoubleSeconds(*delay));
    }
    return;
  }
  ++succeeded;
  const auto first =
      record.first_byte_after(rules.from_scheduled ? record.scheduled : record.start);
  const bool dry = SimulatePlayback(record.arrivals, rules.jitter_buffer).underruns > 0;
  if (first && *first <= rules.ttfb_target && !dry) ++good;
  if (!record.timing) return;
  stream_rtf.Add(record.timing->realtime_factor());
  if (auto sent_to_first = record.first_byte_after(record.start)) {
    const double server = Seconds(record.timing->first_byte_duration());
    server_ttfb.Add(server);
    ttfb_beyond_server.Add(absl::ToDoubleSeconds(*sent_to_first) - server);
  }
}

void Tally::Show(const CallRecord& record, bool ran_dry) {
  if (record.arrivals.empty()) return;
  if (ran_dry && shown_dry_ < kShownDry) {
    ++shown_dry_;
    shown.push_back(record);
  } else if (shown.size() < kShown) {
    shown.push_back(record);
  }
}

}  // namespace firstbyte

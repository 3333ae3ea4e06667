// What a run of the load generator adds up to.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/loadgen/call.h"
#include "client/loadgen/samples.h"

namespace firstbyte {

struct TallyRules {
  absl::Duration jitter_buffer = absl::Milliseconds(20);
  absl::Duration ttfb_target = absl::Milliseconds(50);
  bool from_scheduled = false;  // open loop: latencies count from when a call was due
};

// One thread. Durations in seconds. Calls that were due during the warm-up are not added.
struct Tally {
  TallyRules rules;

  int64_t calls = 0, succeeded = 0;
  int64_t left = 0;      // calls that this client ended on purpose: cancelled, disconnected
  int64_t rejected = 0;  // failed with a delay after which to try again
  int64_t good = 0;      // succeeded, first byte within the target, no underrun
  std::map<std::string, int64_t> errors;  // "RESOURCE_EXHAUSTED/NO_SLOT" -> times

  Samples ttfb;                // sent (or due) -> first media
  Samples ttfa;                // sent (or due) -> first audible sample, played at once
  Samples leading_silence;     // ttfa - ttfb
  Samples ttfb_beyond_server;  // ttfb from sending, less the server's own Timing.first_byte
  Samples server_ttfb;         // that Timing.first_byte
  Samples stream_rtf;          // the server's Timing.realtime_factor: of one request
  Samples chunk_gap;           // time between two audio messages (or blocks) of a call
  Samples send_lag;            // of this program: a call was sent so long after it was due
  Samples retry_after;         // of refusals: the delay that they name
  Samples action_to_frame;     // worlds: action sent -> block that shows it
  Samples underruns_of_call;   // of each call that listened

  int64_t underruns = 0, calls_with_underruns = 0;
  double stalled_seconds = 0;
  double audio_seconds = 0;  // of media; in worlds the time that the blocks show
  // What arrived in the measured time, of the calls of the warm-up too: what rates are made of.
  double audio_seconds_in_time = 0, frames_in_time = 0;
  int64_t frames = 0, blocks = 0, late_blocks = 0, skipped_blocks = 0;  // worlds

  double wall_seconds = 0;  // measured part of the run, draining left out; set at its end

  // The connection to the server broke, not because this client broke it; calls before, during and
  // after the measured part count.
  int64_t lost_connections = 0;
  bool server_came_back = false;  // a call succeeded after that
  bool server_gone = false;       // none did

  // All calls that had media, of the warm-up too: the server's /metrics do not know of warm-ups.
  int64_t all_timed = 0, all_untimed = 0;  // with a Timing, and without: failed, or left early
  double all_server_ttfb_seconds = 0;

  // Some calls for plots: the first ones, and the first ones that ran dry.
  std::vector<CallRecord> shown;

  int64_t failed() const { return calls - succeeded - left; }
  double audio_seconds_per_second() const { return PerSecond(audio_seconds_in_time); }
  double frames_per_second() const { return PerSecond(frames_in_time); }
  double aggregate_rtf() const;  // wall / audio of all streams together; falls with concurrency
  double PerSecond(double amount) const;

  void Add(const CallRecord& record);
  // Each call, measured or not; what is measured is from `from` to `to`.
  void NoteTiming(const CallRecord& record);
  void NoteArrivals(const CallRecord& record, absl::Time from, absl::Time to);

 private:
  void AddMedia(const CallRecord& record);
  void AddEnd(const CallRecord& record);
  void Show(const CallRecord& record, bool ran_dry);

  int64_t shown_dry_ = 0;
};

}  // namespace firstbyte

// What a run of the load generator adds up to.
#pragma once

#include <map>
#include <string>

#include "absl/time/time.h"
#include "client/loadgen/samples.h"
#include "client/loadgen/speech_call.h"

namespace firstbyte {

// One thread. Durations in seconds. Calls that began during the warm-up are not added.
struct Tally {
  int64_t calls = 0, succeeded = 0;
  std::map<std::string, int64_t> errors;  // "RESOURCE_EXHAUSTED/NO_SLOT" -> times

  Samples ttfb;                // call start -> first audio
  Samples ttfa;                // call start -> first audible sample, played at once
  Samples leading_silence;     // ttfa - ttfb
  Samples ttfb_beyond_server;  // ttfb less the server's own Timing.first_byte
  Samples stream_rtf;          // the server's Timing.realtime_factor
  Samples chunk_gap;           // time between two audio messages of a call
  Samples lateness;            // of this program: a call started so long after it was due

  int64_t underruns = 0, calls_with_underruns = 0;
  double stalled_seconds = 0;
  double audio_seconds = 0;

  double wall_seconds = 0;  // measured part of the run; set at its end

  int64_t failed() const { return calls - succeeded; }
  double audio_seconds_per_second() const;
  double aggregate_rtf() const;  // wall / audio of all streams together; falls with concurrency
  // Whether the generator kept its own schedule: at most 1 % of calls over 10 ms late.
  bool valid() const { return late_calls * 100 <= calls; }

  void Add(const CallRecord& record, absl::Duration lateness, absl::Duration jitter_buffer);

  int64_t late_calls = 0;
};

}  // namespace firstbyte

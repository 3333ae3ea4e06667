// Keeps N listeners busy for a while and tallies what they heard.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/loadgen/tally.h"
#include "client/loadgen/workload.h"
#include "firstbyte/v1/speech.grpc.pb.h"

namespace firstbyte {

struct LoadOptions {
  std::string target = "127.0.0.1:50051";
  // Live players with staggered starts: each starts its next text when the sound of the last one
  // ends, so that all of them play for the whole run.
  int listeners = 0;
  // Or a closed loop: each of them starts its next call when the last one has ended, as fast as
  // the server lets it. A slow server so throttles its own load.
  int concurrency = 0;
  absl::Duration duration = absl::Seconds(30);  // measured, after the warm-up
  int64_t max_calls = 0;  // ends the run early once so many were measured; 0: no such limit
  absl::Duration warmup = absl::Seconds(5);     // starts are spread over it
  absl::Duration jitter_buffer = absl::Milliseconds(20);
  absl::Duration call_timeout = absl::Seconds(60);
  int channels = 1;  // connections
  uint64_t seed = 1;
  v1::SynthesizeConfig config;  // voice, model, encoding; the seed is set per call
};

struct Progress {
  absl::Duration elapsed;  // since the start, warm-up included
  int64_t in_flight = 0;
  const Tally* tally = nullptr;  // so far
};

// Connects (kUnavailable when nobody answers within 5 s), runs for warm-up and duration, lets the
// calls in flight finish. `on_progress` is called about once a second on this thread; returning
// false ends the run early.
absl::StatusOr<Tally> RunLoad(const LoadOptions& options, const Workload& workload,
                              const std::function<bool(const Progress&)>& on_progress);

}  // namespace firstbyte

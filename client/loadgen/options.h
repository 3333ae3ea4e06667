// How a run of the load generator is made.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/loadgen/arrivals.h"

namespace firstbyte {

enum class Service { kSpeech, kWorlds };

enum class LoadMode {
  // Live players with staggered starts: each starts its next request when what it plays of the last
  // one ends, so that all of them play for the whole run.
  kListeners,
  // Closed loop: each starts its next request when the last one has ended. A slow server throttles
  // the load.
  kConcurrency,
  // Open loop: requests come when they come, however many are under way. Latencies count from when
  // a request was due, not from when this program got round to sending it.
  kQps,
};

struct LoadLevel {
  LoadMode mode = LoadMode::kListeners;
  double amount = 1;  // how many, or how many a second; kQps of a trace: 0
};

// "16 listeners", "closed loop of 4", "open loop of 2.5 a second".
std::string Describe(const LoadLevel& level);

struct LoadOptions {
  LoadLevel level;
  ArrivalKind arrival = ArrivalKind::kPoisson;  // open loop
  std::vector<absl::Duration> trace;            // kTrace
  absl::Duration duration = absl::Seconds(30);  // measured, after the warm-up
  int64_t max_calls = 0;  // ends the run early once so many were measured; 0: no such limit
  // The run goes on until so many were measured, at most ten times as long or a minute.
  int64_t min_calls = 0;
  absl::Duration warmup = absl::Seconds(5);          // not counted; first starts are spread over it
  absl::Duration drain_timeout = absl::Seconds(30);  // then what is still under way is cancelled
  absl::Duration jitter_buffer = absl::Milliseconds(20);
  absl::Duration ttfb_target = absl::Milliseconds(50);  // for goodput and for this program's lag
  uint64_t seed = 1;
};

}  // namespace firstbyte

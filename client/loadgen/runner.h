// Makes the load of one level and tallies what came of it.
#pragma once

#include <functional>

#include "client/loadgen/options.h"
#include "client/loadgen/tally.h"
#include "client/loadgen/workload.h"

namespace firstbyte {

struct Progress {
  absl::Duration elapsed;  // since the start, warm-up included
  int64_t in_flight = 0;
  const Tally* tally = nullptr;  // so far
};

struct RunCallbacks {
  // About once a second, on the thread of RunLoad; returning false ends the run early.
  std::function<bool(const Progress&)> on_progress = [](const Progress&) { return true; };
  // Each measured call, as it ends;
  std::function<void(const CallRecord&, absl::Time run_start)> on_record = [](const CallRecord&,
                                                                              absl::Time) {};
};

// Runs for warm-up and duration, lets the calls in flight finish for at most the drain timeout and
// cancels the rest. Ends early when the server has not answered for two seconds.
Tally RunLoad(const LoadOptions& options, const Workload& workload, Caller* caller,
              const RunCallbacks& callbacks);

}  // namespace firstbyte

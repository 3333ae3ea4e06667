// How a run is told to programs. The schema is documented in docs/loadgen.md.
#pragma once

#include <string>

#include "client/loadgen/connection_options.h"
#include "client/loadgen/options.h"
#include "client/loadgen/tally.h"
#include "nlohmann/json.hpp"

namespace firstbyte {

inline constexpr int kReportSchema = 3;

// What is the same for all levels: schema, target, service, seed, machine, wall time of the start.
nlohmann::json HeaderJson(const ConnectionOptions& connection, Service service, uint64_t seed,
                          absl::Time began);

// One level. Durations in seconds; null where the table says n/a.
nlohmann::json LevelJson(const LoadOptions& options, const Tally& tally);

// One request, for a line of JSONL. Times in seconds since the start of the run.
nlohmann::json RecordJson(const CallRecord& record, absl::Time run_start);

}  // namespace firstbyte

// How a run is shown: a table for people, JSON for programs.
#pragma once

#include <string>

#include "client/loadgen/runner.h"
#include "nlohmann/json_fwd.hpp"

namespace firstbyte {

// About fifteen lines. Milliseconds; "n/a" for a percentile that too few samples stand behind.
std::string ReportTable(const LoadOptions& options, const Tally& tally);

// Durations in seconds; null where the table says n/a. Holds the options and the machine too.
nlohmann::json ReportJson(const LoadOptions& options, const Tally& tally);

// One line without newline, for a terminal to overwrite.
std::string ProgressLine(const Progress& progress);

}  // namespace firstbyte

// How a run is shown to people on a terminal.
#pragma once

#include <string>

#include "client/loadgen/options.h"
#include "client/loadgen/runner.h"

namespace firstbyte {

// About twenty lines. Milliseconds; "n/a" for a percentile that too few samples stand behind.
std::string ReportTable(const std::string& target, const LoadOptions& options, const Tally& tally);

// One line without newline, for a terminal to overwrite.
std::string ProgressLine(const LoadLevel& level, const Progress& progress);

}  // namespace firstbyte

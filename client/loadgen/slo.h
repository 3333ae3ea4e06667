// Bounds that a run must keep: --slo ttfb_p95=0.015,underruns=0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/loadgen/tally.h"

namespace firstbyte {

struct SloBound {
  std::string name;  // ttfb_p95, underruns, ...
  double limit = 0;  // kept when value <= limit; seconds for durations
};

// Known names: {ttfb,ttfa,rtf,gap,action_to_frame,send_lag}_{p50,p90,p95,p99,max}, underruns,
// errors. kInvalidArgument says which part is wrong.
absl::StatusOr<std::vector<SloBound>> ParseSlo(absl::string_view text);

// One line for each bound that `tally` breaks, or for which it has too few samples. Errors count
// as broken even where no bound names them: refused calls flatter every other number.
std::vector<std::string> BrokenBounds(const std::vector<SloBound>& bounds, const Tally& tally);

// Calls to measure before each percentile that has one sample a call can be told; 0 when any number
// will do.
int64_t CallsNeeded(const std::vector<SloBound>& bounds);

// The tightest bound on TTFB, in seconds; nullopt when none names it.
std::optional<double> TtfbTarget(const std::vector<SloBound>& bounds);

}  // namespace firstbyte

// Whether one run is worse than another, or only looks so.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace firstbyte {

enum class Verdict { kSame, kBetter, kWorse };

// One figure of one load. Durations in seconds. Of all figures that are compared less is better.
struct Change {
  std::string load, figure;  // "listeners 16", "TTFB p95"
  double base = 0, next = 0;
  double low = 0, high = 0;  // 95 % bootstrap interval of next - base
  Verdict verdict = Verdict::kSame;
};

// A report that loadgen wrote. kInvalidArgument, with the file's name, for anything else.
absl::StatusOr<nlohmann::json> ReadReport(const std::string& path);

// Every figure that both reports hold, of the loads that both made, with enough samples for its
// percentile. It is worse when the whole interval lies above 0 and it grew by more than `tolerance`
// of the base; better likewise. kInvalidArgument when a report is damaged or INVALID, or when they
// have nothing in common. The resampling is seeded: the same files give the same verdict.
absl::StatusOr<std::vector<Change>> Compare(const nlohmann::json& base, const nlohmann::json& next,
                                            double tolerance);

std::string CompareTable(const std::vector<Change>& changes);

}  // namespace firstbyte

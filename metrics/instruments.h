// Every instrument that /metrics exports, in one table: name, type, labels, buckets, definition.
//
// docs/metrics.md is printed from this table (metrics_doc), and a test compares the two.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace firstbyte {

struct Instrument {
  enum class Kind { kCounter, kGauge, kHistogram };

  absl::string_view name;  // firstbyte_... or process_..., base units, counters end in _total
  Kind kind;
  std::vector<absl::string_view> labels;
  std::vector<double> buckets;  // upper bounds, inclusive, ascending; histograms only
  absl::string_view help;       // the definition, printed as HELP
};

// In the order in which people read it. Lives for ever.
absl::Span<const Instrument> Instruments();

// The reference page in Markdown.
std::string InstrumentsAsMarkdown();

}  // namespace firstbyte

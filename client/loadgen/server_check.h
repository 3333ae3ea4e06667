// What the server's own /metrics say of a run, beside what this client measured.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/loadgen/tally.h"
#include "nlohmann/json.hpp"

namespace firstbyte {

// Name of a series without its labels -> sum over all label values.
using Scrape = std::map<std::string, double>;

// Prometheus text; lines that are not understood are skipped.
Scrape ParseMetrics(absl::string_view text);

// One GET of http://`address`/metrics, where `address` is host:port. kUnavailable when it fails;
// gives up after 5 s.
absl::StatusOr<Scrape> ScrapeServer(const std::string& address);

struct ServerCheck {
  int64_t requests = 0, our_requests = 0;   // that had a first byte; ours with a Timing
  double mean_ttfb = 0, our_mean_ttfb = 0;  // seconds; ours is of what Timing says
  int64_t underruns = 0;                    // by the server's own count
  int64_t untimed = 0;                      // ours that had a first byte and no Timing
  bool restarted = false;                   // a counter fell

  // Whether there is something to compare: requests that end without a Timing (cancelled, failed)
  // are in the server's figures and not in ours.
  bool comparable() const { return untimed == 0; }
  // Nobody else used the server and the means lie within a millisecond.
  bool agrees() const;
  nlohmann::json ToJson() const;
  std::string ToLine() const;
};

// The run lies between the two scrapes.
ServerCheck CheckServer(const Scrape& before, const Scrape& after, const Tally& tally);

}  // namespace firstbyte

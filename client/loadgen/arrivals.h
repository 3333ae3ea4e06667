// When the requests of an open loop are due.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace firstbyte {

enum class ArrivalKind { kPoisson, kConstant, kTrace };

// The same options give the same times. One thread.
class ArrivalProcess {
 public:
  // `trace`: offsets in order, for kTrace only, which needs no rate.
  ArrivalProcess(ArrivalKind kind, double per_second, uint64_t seed,
                 std::vector<absl::Duration> trace = {});

  // Offset of the next request from the start of the run; the first Poisson one is random too.
  // InfiniteDuration: the trace has ended.
  absl::Duration Next();

 private:
  const ArrivalKind kind_;
  const double per_second_;
  const uint64_t seed_;
  const std::vector<absl::Duration> trace_;
  uint64_t count_ = 0;
  double poisson_seconds_ = 0;
};

// A trace: seconds from its start, one number a line, not falling; blank lines and lines that begin
// with '#' are skipped. An error names file and line.
absl::StatusOr<std::vector<absl::Duration>> ReadTrace(const std::string& path);

}  // namespace firstbyte

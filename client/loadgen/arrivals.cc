#include "client/loadgen/arrivals.h"

#include <cerrno>
#include <cmath>
#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/loadgen/draw.h"

namespace firstbyte {

ArrivalProcess::ArrivalProcess(ArrivalKind kind, double per_second, uint64_t seed,
                               std::vector<absl::Duration> trace)
    : kind_(kind), per_second_(per_second), seed_(seed), trace_(std::move(trace)) {}

absl::Duration ArrivalProcess::Next() {
  const uint64_t n = count_++;
  switch (kind_) {
    case ArrivalKind::kConstant:
      return absl::Seconds(static_cast<double>(n) / per_second_);
    case ArrivalKind::kPoisson:
      poisson_seconds_ -= std::log(1 - Fraction(Draw(seed_, Purpose::kArrival, n))) / per_second_;
      return absl::Seconds(poisson_seconds_);
    case ArrivalKind::kTrace:
      break;
  }
  return n < trace_.size() ? trace_[n] : absl::InfiniteDuration();
}

absl::StatusOr<std::vector<absl::Duration>> ReadTrace(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  std::vector<absl::Duration> trace;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    absl::StripAsciiWhitespace(&line);
    if (line.empty() || line[0] == '#') continue;
    double seconds = 0;
    if (!absl::SimpleAtod(line, &seconds) || !std::isfinite(seconds) || seconds < 0 ||
        (!trace.empty() && absl::Seconds(seconds) < trace.back())) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ":", number, ": expected seconds, no less than those before, not '", line, "'"));
    }
    trace.push_back(absl::Seconds(seconds));
  }
  if (trace.empty()) return absl::InvalidArgumentError(absl::StrCat(path, " holds no arrival"));
  return trace;
}

}  // namespace firstbyte

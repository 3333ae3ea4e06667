#include "client/loadgen/validity.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace firstbyte {
namespace {

std::string MostCommonError(const Tally& tally) {
  auto most = std::max_element(tally.errors.begin(), tally.errors.end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == tally.errors.end() ? "none ended" : most->first;
}

std::string NothingSucceeded(const Tally& tally) {
  if (tally.calls == 0) return "no request began in the measured time and ended; run longer";
  const std::string error = MostCommonError(tally);
  if (tally.rejected == tally.calls) {
    return absl::StrFormat("every request was refused: %d of %d (%s)", tally.rejected, tally.calls,
                           error);
  }
  return absl::StrFormat("no request of %d succeeded (most: %s)", tally.calls, error);
}

}  // namespace

absl::Duration SendLagLimit(const TallyRules& rules) {
  return std::max(absl::Milliseconds(1), rules.ttfb_target / 10);
}

std::vector<std::string> WhyInvalid(const Tally& tally) {
  std::vector<std::string> why;
  if (tally.succeeded + tally.left == 0) why.push_back(NothingSucceeded(tally));
  if (tally.server_came_back) {
    why.push_back(absl::StrFormat(
        "the connection broke %d times and came back: the server was restarted during the run",
        tally.lost_connections));
  }
  if (tally.server_gone) why.push_back("the server went away during the run");
  const double limit = absl::ToDoubleSeconds(SendLagLimit(tally.rules));
  const int64_t late = tally.send_lag.CountOver(limit);
  if (late > 1 && late * 100 > tally.calls) {
    why.push_back(absl::StrFormat(
        "%d of %d requests were sent over %.1f ms after they were due: this machine is too busy "
        "to generate the load",
        late, tally.calls, limit * 1000));
  }
  return why;
}

}  // namespace firstbyte

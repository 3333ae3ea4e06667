// Whether the figures of a run mean anything.
#pragma once

#include <string>
#include <vector>

#include "client/loadgen/tally.h"

namespace firstbyte {

// How late a request may be sent: max(1 ms, 10 % of the TTFB target). Later than that, what is
// measured is this program.
absl::Duration SendLagLimit(const TallyRules& rules);

// One line for each reason why the run is INVALID: nothing succeeded, everything was refused, the
// server went away or was restarted, more than 1 % of requests (and more than one) were sent too
// late. Empty: it is valid.
std::vector<std::string> WhyInvalid(const Tally& tally);

}  // namespace firstbyte

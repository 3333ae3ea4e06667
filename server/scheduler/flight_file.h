// Where the flight recorders go when the process is about to end.
#pragma once

#include <deque>
#include <string>

#include "absl/status/statusor.h"
#include "server/scheduler/flight_recorder.h"

namespace firstbyte {

// Writes what all of them hold into a new file of `folder`, which nobody but the owner may read,
// and returns its path. kUnavailable says why it cannot.
absl::StatusOr<std::string> WriteFlights(const std::deque<FlightRecorder>& flights,
                                         const std::string& folder);

}  // namespace firstbyte

// Worlds of the Waypoint-1.5 layout with random weights, written on the spot: as large as the
// published ones, to be measured, and a tiny one.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace firstbyte {

// Its config.yaml. `size` is "720p", "360p" or "tiny"; kInvalidArgument for another.
absl::StatusOr<std::string> WaypointConfig(absl::string_view size);

// Writes the three files of a world into a folder that exists, of all but "tiny" 2.6 GB.
// kUnavailable when the disk does not take them.
absl::Status WriteRandomWaypoint(absl::string_view size, const std::string& folder);

}  // namespace firstbyte

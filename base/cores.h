// How many processor cores the process may use at once: the machine's, less what its affinity
// (taskset, a container's cpuset) and its CPU quota (a container's limit) take away.
//
// Thread-safe.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"

namespace firstbyte {

int UsableCores();  // at least 1

// The cores that `cpu_max`, the contents of cgroup v2's file cpu.max ("150000 100000"), pays for.
// Rounded down, but at least 1: a thread that uses up the quota is stopped in the middle of what it
// does. Nothing where there is no limit ("max 100000") or no sense.
std::optional<int> CoresOfQuota(absl::string_view cpu_max);

}  // namespace firstbyte

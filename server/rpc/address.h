// Whether an address can be listened on, with a reason that a person understands.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace firstbyte {

// Tries to bind "host:port" and lets go again; kUnavailable says why not. gRPC itself only says
// that it could not. unix: addresses are left to gRPC.
absl::Status CheckBindable(const std::string& address);

}  // namespace firstbyte

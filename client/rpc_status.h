// gRPC's statuses in the project's own terms, and in a person's.
#pragma once

#include <string>

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace firstbyte {

// Code and message of `status`, with reason, metadata and retry delay from its google.rpc details
// (base/error.h reads them back). Details that do not parse are left out.
absl::Status FromGrpc(const grpc::Status& status);

// One line for a terminal: what went wrong and what to do about it. `target` = the server's
// address.
std::string ExplainError(const absl::Status& status, absl::string_view target);

}  // namespace firstbyte

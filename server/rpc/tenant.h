// Who calls.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/server_context.h"

namespace firstbyte {

// Metadata "x-tenant", "" when there is none. kInvalidArgument BAD_TENANT unless it is at most 128
// printable ASCII characters.
absl::StatusOr<std::string> TenantOf(const grpc::CallbackServerContext& context);

}  // namespace firstbyte

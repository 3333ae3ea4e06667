// A refusal as the real server makes it: a status with google.rpc details.
#pragma once

#include <string>

#include <grpcpp/support/status.h>

#include "absl/time/time.h"

namespace firstbyte {

grpc::Status Refuse(grpc::StatusCode code, const std::string& reason, const std::string& message,
                    absl::Duration retry = absl::ZeroDuration());

}  // namespace firstbyte

// One gRPC port, opened as all of ours are: limits, keepalive, and no sharing with anyone.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"

namespace firstbyte {

// Starts what was registered with `builder`, with server reflection. `address`: host:port, port 0
// takes a free one; or unix:/path. kUnavailable says why the port cannot be had. `port` is where
// the server then finds its number; it must stay.
absl::StatusOr<std::unique_ptr<grpc::Server>> StartListening(const std::string& address,
                                                             grpc::ServerBuilder* builder,
                                                             int* port);

}  // namespace firstbyte

// Calls that end at once.
#pragma once

#include "absl/status/status.h"
#include "base/error.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/status.h"

namespace firstbyte {

// `Reactor`: any server reactor. Deletes itself when done. Sends no initial metadata before the
// status, so that clients may retry.
template <typename Reactor>
class Refusal : public Reactor {
 public:
  Refusal(const absl::Status& status, grpc::CallbackServerContext* rpc) {
    AddTrailers(status, RequestIdOf(*rpc), rpc);
    this->Finish(ToGrpcStatus(status));
  }
  void OnDone() override { delete this; }
};

// While the models load.
inline absl::Status Starting() {
  return Error(absl::StatusCode::kUnavailable,
               {.reason = "STARTING", .retry_after = absl::Seconds(1)},
               "the server is still loading its models");
}

// Streams that exist, admitted or not, hold memory.
inline absl::Status TooManyCalls() {
  return Error(absl::StatusCode::kResourceExhausted,
               {.reason = "TOO_MANY_CALLS", .retry_after = absl::Seconds(1)},
               "the server has as many streams open as it may");
}

// Ends a unary call whose response, when `status` is OK, is filled.
inline grpc::ServerUnaryReactor* Answer(const absl::Status& status,
                                        grpc::CallbackServerContext* rpc) {
  AddTrailers(status, RequestIdOf(*rpc), rpc);
  grpc::ServerUnaryReactor* reactor = rpc->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

}  // namespace firstbyte

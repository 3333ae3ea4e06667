// A call that ends at once with an error.
#pragma once

#include "absl/status/status.h"
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

}  // namespace firstbyte

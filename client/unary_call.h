// A unary call as a function: the request in, the response or the reason why there is none out.
#pragma once

#include <type_traits>

#include <grpcpp/client_context.h>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/rpc_status.h"

namespace firstbyte {

// Waits for the answer, for at most `timeout` (InfiniteDuration() waits for as long as it takes).
// `method`: a member of a generated stub, as in
//
//   UnaryCall(*stub, &v1::WorldService::Stub::ListWorlds, {})
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> UnaryCall(
    Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
    const std::type_identity_t<Request>& request, absl::Duration timeout = absl::Seconds(10)) {
  grpc::ClientContext context;
  if (timeout < absl::InfiniteDuration()) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  }
  Response response;
  absl::Status status = FromGrpc((stub.*method)(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

}  // namespace firstbyte

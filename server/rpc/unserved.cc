#include "server/rpc/unserved.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "server/rpc/refusal.h"

namespace firstbyte {

grpc::ServerGenericBidiReactor* UnservedMethods::CreateReactor(
    grpc::GenericCallbackServerContext* rpc) {
  const std::string& method = rpc->method();
  const bool ours = absl::StartsWith(method, "/firstbyte.v1.AdminService/");
  ErrorDetail detail{.reason = ours ? "NOT_SUPPORTED" : "UNKNOWN_METHOD",
                     .metadata = {{"method", method}}};
  const std::string message = absl::StrCat(method, ours ? " is served on the port of --admin-listen"
                                                        : " is not a method of this server");
  return new Refusal<grpc::ServerGenericBidiReactor>(
      Error(absl::StatusCode::kUnimplemented, std::move(detail), message), rpc);
}

}  // namespace firstbyte

#include "server/rpc/tenant.h"

#include "base/error.h"
#include "server/rpc/status.h"

namespace firstbyte {

absl::StatusOr<std::string> TenantOf(const grpc::CallbackServerContext& context) {
  auto sent = context.client_metadata().find("x-tenant");
  if (sent == context.client_metadata().end() || sent->second.empty()) return "";
  std::string tenant(sent->second.data(), sent->second.size());
  if (IsRequestId(tenant)) return tenant;  // the same rule
  return Invalid("BAD_TENANT", "x-tenant must be at most 128 printable ASCII characters",
                 "x-tenant");
}

}  // namespace firstbyte

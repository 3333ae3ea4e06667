#include "server/rpc/admin_server.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/rpc/listener.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kToFinish = absl::Milliseconds(500);

}  // namespace

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(const std::string& address,
                                                                AdminOptions options) {
  std::unique_ptr<AdminServer> self(new AdminServer(std::move(options)));
  grpc::ServerBuilder builder;
  builder.RegisterService(&self->service_);
  builder.RegisterCallbackGenericService(&self->unserved_);
  auto server = StartListening(address, &builder, &self->port_);
  if (!server.ok()) {
    return absl::Status(server.status().code(),
                        absl::StrCat(server.status().message(),
                                     " (--admin-listen: another address, port 0 or off)"));
  }
  self->server_ = *std::move(server);
  return self;
}

AdminServer::~AdminServer() {
  if (!server_) return;
  server_->Shutdown(absl::ToChronoTime(absl::Now() + kToFinish));
  server_->Wait();
}

}  // namespace firstbyte

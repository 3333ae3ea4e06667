#include "server/rpc/listener.h"

#include "absl/strings/str_cat.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "server/rpc/address.h"

namespace firstbyte {
namespace {

constexpr int kMaxReceiveBytes = 8 << 20;  // an image of 4 MiB, and one that is refused by us
constexpr int kMaxMetadataBytes = 8 << 10;

// Keepalive finds peers that vanished without a FIN, and lets clients behind a NAT ping.
// Connections are renewed each hour, without an end to the grace: a finite one kills long streams.
void SetChannelArguments(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMaxReceiveBytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, 3'600'000);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10'000);
  // Two servers must not share a port without anyone noticing.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

}  // namespace

absl::StatusOr<std::unique_ptr<grpc::Server>> StartListening(const std::string& address,
                                                             grpc::ServerBuilder* builder,
                                                             int* port) {
  absl::Status bindable = CheckBindable(address);
  if (!bindable.ok()) return bindable;
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  SetChannelArguments(builder);
  builder->AddListeningPort(address, grpc::InsecureServerCredentials(), port);
  std::unique_ptr<grpc::Server> server = builder->BuildAndStart();
  if (!server) return absl::UnavailableError(absl::StrCat("cannot listen on ", address));
  return server;
}

}  // namespace firstbyte

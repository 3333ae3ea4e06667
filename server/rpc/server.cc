#include "server/rpc/server.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "base/log.h"
#include "grpc/support/log.h"
#include "grpcpp/alarm.h"
#include "nlohmann/json.hpp"
#include "server/rpc/listener.h"
#include "server/stream/world_store.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kMaxParking = absl::Seconds(10);
// For clients to read the end of their streams before the connection closes.
constexpr absl::Duration kLinger = absl::Milliseconds(100);

}  // namespace

RpcServer::RpcServer(absl::Duration first_message_timeout)
    : speech_(&live_calls_, first_message_timeout),
      worlds_(&live_calls_, first_message_timeout),
      health_({v1::SpeechService::service_full_name(), v1::WorldService::service_full_name()}) {}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(const std::string& address,
                                                            absl::Duration first_message_timeout) {
  std::unique_ptr<RpcServer> self(new RpcServer(first_message_timeout));
  grpc::ServerBuilder builder;
  builder.RegisterService(&self->speech_);
  builder.RegisterService(&self->worlds_);
  builder.RegisterService(&self->health_);
  builder.RegisterCallbackGenericService(&self->unserved_);
  auto server = StartListening(address, &builder, &self->port_);
  if (!server.ok()) return server.status();
  self->server_ = *std::move(server);
  return self;
}

RpcServer::~RpcServer() { Drain(absl::ZeroDuration(), absl::ZeroDuration()); }

void RpcServer::Serve(const StreamContext* context) {
  context_ = context;
  speech_.Serve(context);
  worlds_.Serve(context);
  health_.SetServing(true);
}

void RpcServer::Drain(absl::Duration lame_duck, absl::Duration timeout) {
  if (!server_) return;
  health_.SetServing(false);
  absl::SleepFor(lame_duck);
  if (context_) context_->engine->admission().StartDraining();
  health_.Shutdown();
  ShutDownWithin(std::min(timeout, absl::Hours(24)));   // infinity would overflow
  if (context_ && context_->engine->stalled()) return;  // its lane holds on to calls for ever
  live_calls_.WaitUntilNone();
  if (context_ && !context_->worlds->WaitUntilParked(kMaxParking)) {
    LogWarning("worlds_not_parked", {{"sessions", context_->worlds->counts().running}});
  }
  server_.reset();
}

void RpcServer::ShutDownWithin(absl::Duration timeout) {
  const absl::Time deadline = Clock::Steady().Now() + timeout;
  grpc::Alarm park;
  if (context_) {
    WorldStore& worlds = *context_->worlds;
    const absl::Duration rest = worlds.shared() ? absl::ZeroDuration() : 0.75 * timeout;
    worlds.Drain(rest);
    if (rest > absl::ZeroDuration()) {
      park.Set(absl::ToChronoTime(absl::Now() + rest), [&worlds](bool due) {
        if (due) worlds.Drain(absl::ZeroDuration());
      });
    }
  }
  // gRPC's shutdown closes each connection with its last stream, and what the client is sending
  // just then can cost it the end of that stream. So running calls end first, on connections that
  // stay open; new ones are refused by us meanwhile, and health says that they will be.
  if (live_calls_.WaitUntilNone(deadline)) absl::SleepFor(std::min(kLinger, timeout));
  const absl::Duration left = std::max(deadline - Clock::Steady().Now(), absl::ZeroDuration());
  server_->Shutdown(absl::ToChronoTime(absl::Now() + left));
  server_->Wait();
}

void RouteGrpcLogs() {
  gpr_set_log_function([](gpr_log_func_args* args) {
    const nlohmann::json fields = {{"message", args->message}};
    args->severity == GPR_LOG_SEVERITY_ERROR ? LogWarning("grpc", fields)
                                             : LogDebug("grpc", fields);
  });
}

}  // namespace firstbyte

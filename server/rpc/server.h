// The gRPC server: services, port, readiness and the way down.
//
//   Start()  the port is open, health says NOT_SERVING, calls get UNAVAILABLE (reason STARTING)
//   Serve()  health says SERVING
//   Drain()  health says NOT_SERVING; running streams finish; the port closes
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/server.h"
#include "server/rpc/health_service.h"
#include "server/rpc/speech_service.h"
#include "server/rpc/unserved.h"
#include "server/rpc/world_service.h"

namespace firstbyte {

// Start, Serve and Drain from one thread.
class RpcServer {
 public:
  // `address`: host:port, port 0 takes a free one; or unix:/path. kUnavailable says why the port
  // cannot be had. `first_message_timeout`: see SpeechService and
  // WorldService.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(const std::string& address,
                                                          absl::Duration first_message_timeout);
  ~RpcServer();  // as Drain() without patience

  int port() const { return port_; }
  LiveCalls& live_calls() { return live_calls_; }

  // `context` and what it points to outlive this object.
  void Serve(const StreamContext* context);

  // Waits `lame_duck` while calls are still taken (load balancers need it to notice), then refuses
  // new ones, gives running ones `timeout` to finish, cancels the rest. Players of worlds hear of
  // it, and their sessions are parked: at once where another server can go on with them, else
  // after three quarters of the time. When it returns no call exists, nothing of the context is in
  // use, and what is parked in files is there; unless a lane stalled (Engine::stalled()).
  void Drain(absl::Duration lame_duck, absl::Duration timeout);

 private:
  explicit RpcServer(absl::Duration first_message_timeout);
  void ShutDownWithin(absl::Duration timeout);

  LiveCalls live_calls_;
  SpeechService speech_;
  WorldService worlds_;
  HealthService health_;
  UnservedMethods unserved_;
  const StreamContext* context_ = nullptr;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

// Sends gRPC's own log lines to ours. Once, before the first server or channel.
void RouteGrpcLogs();

}  // namespace firstbyte

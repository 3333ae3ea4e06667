// grpc.health.v1: whether this server should get calls.
//
// Not gRPC's own health service: that one says SERVING from the moment the port opens until it is
// told otherwise, and its watchers hold up a shutdown.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace firstbyte {

// Thread-safe. Starts NOT_SERVING.
class HealthService : public grpc::health::v1::Health::CallbackService {
 public:
  // Names it answers for besides "", the server as a whole; all have the same state.
  explicit HealthService(std::vector<std::string> services);
  ~HealthService() override;

  void SetServing(bool serving);
  // NOT_SERVING for good; ends every Watch, so that the server can shut down.
  void Shutdown();

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* rpc,
                                  const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response) override;
  // Tells the state now and whenever it changes. SERVICE_UNKNOWN for a name it does not know.
  grpc::ServerWriteReactor<grpc::health::v1::HealthCheckResponse>* Watch(
      grpc::CallbackServerContext* rpc,
      const grpc::health::v1::HealthCheckRequest* request) override;

 private:
  class Watcher;
  using State = grpc::health::v1::HealthCheckResponse::ServingStatus;

  State StateOf(const std::string& service) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Notify() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::set<std::string> services_;
  mutable Mutex mu_;  // before Watcher::mu_
  bool serving_ ABSL_GUARDED_BY(mu_) = false;
  bool shut_down_ ABSL_GUARDED_BY(mu_) = false;
  std::set<Watcher*> watchers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace firstbyte

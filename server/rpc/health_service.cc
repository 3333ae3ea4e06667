#include "server/rpc/health_service.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "server/rpc/refusal.h"
#include "server/rpc/status.h"

namespace firstbyte {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

// One Watch. Keeps only the newest state that its client has not been told.
class HealthService::Watcher : public grpc::ServerWriteReactor<HealthCheckResponse> {
 public:
  Watcher(HealthService* health, std::string service)
      : health_(health), service_(std::move(service)) {}

  const std::string& service() const { return service_; }

  void Tell(State state) {
    MutexLock lock(&mu_);
    pending_ = state;
    Pump();
  }
  // Ends the call, after the state told last.
  void End(const absl::Status& status) {
    MutexLock lock(&mu_);
    if (!end_) end_ = status;
    Pump();
  }

  void OnWriteDone(bool) override {
    MutexLock lock(&mu_);
    writing_ = false;
    Pump();
  }
  void OnCancel() override { End(absl::CancelledError("the client stopped watching")); }
  void OnDone() override {
    {
      MutexLock lock(&health_->mu_);
      health_->watchers_.erase(this);
    }
    delete this;
  }

 private:
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writing_ || finished_) return;
    if (pending_ && *pending_ != told_) {
      told_ = *pending_;
      response_.set_status(*told_);
      writing_ = true;
      StartWrite(&response_);
    } else if (end_) {
      finished_ = true;
      Finish(ToGrpcStatus(*end_));
    }
  }

  HealthService* const health_;
  const std::string service_;
  Mutex mu_;
  std::optional<State> pending_ ABSL_GUARDED_BY(mu_);
  std::optional<State> told_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  HealthCheckResponse response_;
};

HealthService::HealthService(std::vector<std::string> services)
    : services_(services.begin(), services.end()) {}

HealthService::~HealthService() = default;

HealthService::State HealthService::StateOf(const std::string& service) const {
  if (!service.empty() && services_.count(service) == 0)
    return HealthCheckResponse::SERVICE_UNKNOWN;
  return serving_ ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

void HealthService::Notify() {
  for (Watcher* watcher : watchers_) watcher->Tell(StateOf(watcher->service()));
}

void HealthService::SetServing(bool serving) {
  MutexLock lock(&mu_);
  serving_ = serving && !shut_down_;
  Notify();
}

void HealthService::Shutdown() {
  MutexLock lock(&mu_);
  serving_ = false;
  shut_down_ = true;
  Notify();
  for (Watcher* watcher : watchers_) watcher->End(absl::UnavailableError("the server is stopping"));
}

grpc::ServerUnaryReactor* HealthService::Check(grpc::CallbackServerContext* rpc,
                                               const HealthCheckRequest* request,
                                               HealthCheckResponse* response) {
  {
    MutexLock lock(&mu_);
    response->set_status(StateOf(request->service()));
  }
  const bool known = response->status() != HealthCheckResponse::SERVICE_UNKNOWN;
  auto* reactor = rpc->DefaultReactor();
  reactor->Finish(known ? grpc::Status::OK
                        : ToGrpcStatus(Error(absl::StatusCode::kNotFound, "SERVICE_NOT_FOUND",
                                             absl::StrCat("no service '", request->service(), "'"),
                                             "service")));
  return reactor;
}

grpc::ServerWriteReactor<HealthCheckResponse>* HealthService::Watch(
    grpc::CallbackServerContext*, const HealthCheckRequest* request) {
  auto* watcher = new Watcher(this, request->service());
  MutexLock lock(&mu_);
  watchers_.insert(watcher);
  watcher->Tell(StateOf(watcher->service()));
  if (shut_down_) watcher->End(absl::UnavailableError("the server is stopping"));
  return watcher;
}

}  // namespace firstbyte

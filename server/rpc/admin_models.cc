#include "server/rpc/admin_models.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/error.h"
#include "base/mutex.h"
#include "grpcpp/alarm.h"
#include "server/rpc/admin_stats.h"
#include "server/rpc/common_convert.h"
#include "server/rpc/refusal.h"

namespace firstbyte {
namespace {

absl::StatusOr<int> Find(const Engine& engine, const std::string& name) {
  for (int i = 0; i < engine.model_count(); ++i) {
    if (engine.info(i).name == name) return i;
  }
  return Error(absl::StatusCode::kNotFound, "MODEL_NOT_FOUND",
               absl::StrCat("this server knows no model '", name, "'"), "name");
}

absl::Status Evicted() {
  return Error(absl::StatusCode::kUnavailable,
               {.reason = "MODEL_UNLOADED", .retry_after = absl::Seconds(1)},
               "the model was unloaded; it is loaded again for who asks for it");
}

// A call that the engine answers, or the client by going away: whoever is first. Keeps itself
// until gRPC is done with it; the engine may hold it for longer.
class ModelCall : public grpc::ServerUnaryReactor {
 public:
  explicit ModelCall(grpc::CallbackServerContext* rpc) : rpc_(rpc) {}

  void OnCancel() override {
    if (answered_.exchange(true)) return;
    GivenUp();
    End(Error(absl::StatusCode::kCancelled, "CANCELLED", "the client went away"));
  }
  void OnDone() override { self_.reset(); }

 protected:
  void Live(std::shared_ptr<ModelCall> self) { self_ = std::move(self); }
  void Answer(const absl::Status& status) {
    if (answered_.exchange(true)) return;
    if (status.ok()) Fill();
    End(status);
  }

 private:
  virtual void Fill() {}
  virtual void GivenUp() {}
  void End(const absl::Status& status) {
    AddTrailers(status, RequestIdOf(*rpc_), rpc_);
    Finish(ToGrpcStatus(status));
  }

  grpc::CallbackServerContext* const rpc_;
  std::shared_ptr<ModelCall> self_;
  std::atomic<bool> answered_ = false;
};

class LoadCall : public ModelCall {
 public:
  LoadCall(Engine* engine, int index, v1::LoadModelResponse* response,
           grpc::CallbackServerContext* rpc)
      : ModelCall(rpc), engine_(*engine), index_(index), response_(response) {}

  void Start(const std::shared_ptr<LoadCall>& self) {
    Live(self);
    engine_.Keep(index_);
    auto loaded = [self](const absl::Status& status) { self->Answer(status); };
    if (engine_.EnsureLoaded(index_, loaded)) Answer(absl::OkStatus());
  }

 private:
  void Fill() override { FillModel(engine_, index_, response_->mutable_model()); }

  Engine& engine_;
  const int index_;
  v1::LoadModelResponse* const response_;  // gRPC's, until the call is answered
};

class UnloadCall : public ModelCall {
 public:
  UnloadCall(const AdminContext& context, int index, grpc::CallbackServerContext* rpc)
      : ModelCall(rpc), engine_(*context.engine), streams_(*context.streams), index_(index) {}

  // `within`: how long streams may still run.
  void Start(const std::shared_ptr<UnloadCall>& self, std::optional<absl::Duration> within) {
    Live(self);
    engine_.Unload(index_, [self](const absl::Status& status) { self->Unloaded(status); });
    MutexLock lock(&mu_);
    if (!within || told_) return;
    // Set after the model was closed to newcomers, so that none comes in behind it. Weak: it keeps
    // what it calls.
    drained_.Set(absl::ToChronoTime(absl::Now() + *within),
                 [weak = std::weak_ptr(self)](bool expired) {
                   auto call = weak.lock();
                   if (expired && call) call->Evict();
                 });
  }

 private:
  void GivenUp() override { engine_.Keep(index_); }
  // Under the lock, which the engine needs to say that it is over: so engine and streams exist.
  void Evict() {
    MutexLock lock(&mu_);
    if (!told_) streams_.Evict(engine_.info(index_).name, Evicted());
  }
  void Unloaded(const absl::Status& status) {
    {
      MutexLock lock(&mu_);
      told_ = true;
      drained_.Cancel();
    }
    Answer(status);
  }

  Engine& engine_;
  LiveStreams& streams_;
  const int index_;
  Mutex mu_;
  bool told_ ABSL_GUARDED_BY(mu_) = false;  // by the engine how it ended
  grpc::Alarm drained_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

grpc::ServerUnaryReactor* StartLoad(const AdminContext& context,
                                    const v1::LoadModelRequest& request,
                                    v1::LoadModelResponse* response,
                                    grpc::CallbackServerContext* rpc) {
  const absl::StatusOr<int> index = Find(*context.engine, request.name());
  if (!index.ok()) return Answer(index.status(), rpc);
  auto call = std::make_shared<LoadCall>(context.engine, *index, response, rpc);
  call->Start(call);
  return call.get();
}

grpc::ServerUnaryReactor* StartUnload(const AdminContext& context,
                                      const v1::UnloadModelRequest& request,
                                      grpc::CallbackServerContext* rpc) {
  const absl::StatusOr<int> index = Find(*context.engine, request.name());
  if (!index.ok()) return Answer(index.status(), rpc);
  std::optional<absl::Duration> within;
  if (request.has_drain_duration()) {
    const absl::StatusOr<absl::Duration> asked =
        ToDuration(request.drain_duration(), absl::ZeroDuration(), kMaxDrain, "drain_duration");
    if (!asked.ok()) return Answer(asked.status(), rpc);
    within = *asked;
  }
  auto call = std::make_shared<UnloadCall>(context, *index, rpc);
  call->Start(call, within);
  return call.get();
}

}  // namespace firstbyte

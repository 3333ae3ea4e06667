// AdminService: what an operator asks of a running server and has it do.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/trace.h"
#include "firstbyte/v1/admin.grpc.pb.h"
#include "metrics/metrics.h"
#include "server/scheduler/engine.h"
#include "server/scheduler/flight_recorder.h"
#include "server/scheduler/step_meter.h"
#include "server/stream/live_streams.h"

namespace firstbyte {

// What there is to look at once the models are loaded.
struct AdminContext {
  Engine* engine = nullptr;
  LiveStreams* streams = nullptr;
  const std::deque<StepMeter>* meters = nullptr;        // by lane
  const std::deque<FlightRecorder>* flights = nullptr;  // by lane; empty: nothing is recorded
  const Clock* clock = &Clock::Steady();                // the lanes'
};

// Most that a request may ask for as drain_duration; as of --drain-timeout.
inline constexpr absl::Duration kMaxDrain = absl::Hours(1);

struct AdminOptions {
  BuildInfo build;
  // Begins to drain, within a time if one is given. kFailedPrecondition when that has begun
  // already; not set: this server ends in another way.
  std::function<absl::Status(std::optional<absl::Duration>)> drain;
  Tracer* tracer = nullptr;  // outlives every call
};

// Thread-safe. Every error carries ErrorInfo.
class AdminService : public v1::AdminService::CallbackService {
 public:
  explicit AdminService(AdminOptions options);

  // Until then what needs models is refused with UNAVAILABLE, reason STARTING. `context` and what
  // it points to outlive every call.
  void Serve(const AdminContext* context);
  void SetDraining() { draining_ = true; }

  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* rpc,
                                          const v1::GetServerInfoRequest* request,
                                          v1::GetServerInfoResponse* response) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* rpc,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* LoadModel(grpc::CallbackServerContext* rpc,
                                      const v1::LoadModelRequest* request,
                                      v1::LoadModelResponse* response) override;
  grpc::ServerUnaryReactor* UnloadModel(grpc::CallbackServerContext* rpc,
                                        const v1::UnloadModelRequest* request,
                                        v1::UnloadModelResponse* response) override;
  grpc::ServerUnaryReactor* GetStats(grpc::CallbackServerContext* rpc,
                                     const v1::GetStatsRequest* request,
                                     v1::GetStatsResponse* response) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* rpc, const v1::DrainRequest* request,
                                  v1::DrainResponse* response) override;
  grpc::ServerUnaryReactor* SetLogLevel(grpc::CallbackServerContext* rpc,
                                        const v1::SetLogLevelRequest* request,
                                        v1::SetLogLevelResponse* response) override;
  grpc::ServerWriteReactor<v1::CaptureTraceResponse>* CaptureTrace(
      grpc::CallbackServerContext* rpc, const v1::CaptureTraceRequest* request) override;
  grpc::ServerWriteReactor<v1::DumpFlightResponse>* DumpFlight(
      grpc::CallbackServerContext* rpc, const v1::DumpFlightRequest* request) override;

 private:
  absl::Status BeginDrain(const v1::DrainRequest& request);

  const AdminOptions options_;
  const absl::Time start_time_;  // wall clock
  std::atomic<const AdminContext*> context_ = nullptr;
  std::atomic<bool> draining_ = false;
};

}  // namespace firstbyte

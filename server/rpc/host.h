// A whole server in one object: metrics, engine, streams, gRPC. main.cc, the rpc tests and the
// transport benchmark all run this one.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/strand.h"
#include "base/trace.h"
#include "metrics/exposer.h"
#include "metrics/metrics.h"
#include "server/rpc/admin_server.h"
#include "server/rpc/server.h"
#include "server/rpc/stream_metrics.h"
#include "server/scheduler/engine.h"
#include "server/scheduler/flight_recorder.h"
#include "server/scheduler/step_meter.h"
#include "server/stream/live_streams.h"
#include "server/stream/stream_context.h"
#include "server/stream/world_store.h"

namespace firstbyte {

struct HostOptions {
  std::string listen = "127.0.0.1:0";
  std::string metrics_listen = "off";
  std::string admin_listen = "off";  // or empty
  // Called, once and on any thread, when AdminService is asked to drain: makes the owner call
  // Drain(). Not set: such a wish is refused.
  std::function<void()> on_drain_asked;
  FlightOptions flight;
  std::string flight_dir;  // where the flight recorders are written when the device is lost; empty:
                           // nowhere
  std::string nvml_library = "off";  // else what dlopen() takes: metrics of GPUs
  absl::Duration first_message_timeout = absl::Seconds(10);
  int front_end_threads = 2;  // text front ends and Opus encoders
  absl::Duration default_max_lead = absl::Seconds(4);
  int max_calls = 4096;
  absl::Duration slow_consumer_timeout = absl::Seconds(30);
  absl::Duration max_world_duration = absl::Hours(4);
  absl::Duration max_world_idle = absl::Seconds(60);
  WorldStoreOptions worlds;
  // on_step, watchers and tracer are the host's own; the clock is also that of streams and
  // admission
  LaneOptions lane;
  AdmissionLimits admission;
  BuildInfo build;
};

// Listen, Serve and Drain from one thread.
class Host {
 public:
  // Opens the gRPC port, NOT_SERVING. kUnavailable says why it cannot.
  static absl::StatusOr<std::unique_ptr<Host>> Listen(HostOptions options);
  ~Host();

  // Models as Engine::Create() takes them. Opens the metrics port
  // and the folder of snapshots, warms the resident models up and turns readiness on.
  absl::Status Serve(std::vector<std::vector<std::unique_ptr<Model>>> lane_models,
                     std::vector<LazyModel> lazy = {}, std::vector<ModelSource> sources = {});

  // See RpcServer::Drain(). A timeout that AdminService was given comes before this one.
  void Drain(absl::Duration lame_duck, absl::Duration timeout);

  int port() const { return rpc_->port(); }
  int metrics_port() const { return exposer_ ? exposer_->port() : 0; }
  int admin_port() const { return admin_ ? admin_->port() : 0; }
  LiveCalls& live_calls() { return rpc_->live_calls(); }
  Engine& engine() { return *engine_; }
  Metrics& metrics() { return *metrics_; }
  WorldStore& worlds() { return *worlds_; }

 private:
  explicit Host(HostOptions options) : options_(std::move(options)) {}
  LaneOptions WatchLanes(const std::vector<std::vector<std::unique_ptr<Model>>>& lane_models,
                         const std::vector<LazyModel>& lazy);
  void KeepFlights();
  absl::Status AskToDrain(std::optional<absl::Duration> timeout);

  // In the order in which each uses the ones above it.
  HostOptions options_;
  std::atomic<bool> draining_ = false;
  Mutex mu_;
  std::optional<absl::Duration> asked_timeout_ ABSL_GUARDED_BY(mu_);
  Tracer tracer_;
  LiveStreams live_streams_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<StreamMetrics> observer_;
  std::unique_ptr<WorldStore> worlds_;
  std::unique_ptr<ThreadPool> pool_;
  std::deque<StepMeter> meters_;        // by lane
  std::deque<FlightRecorder> flights_;  // by lane, or none
  std::unique_ptr<Engine> engine_;
  StreamContext context_;
  std::unique_ptr<MetricsExposer> exposer_;
  std::unique_ptr<RpcServer> rpc_;
  AdminContext admin_context_;
  std::unique_ptr<AdminServer> admin_;
};

}  // namespace firstbyte

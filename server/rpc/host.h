// A whole server in one object: metrics, engine, streams, gRPC. main.cc, the rpc tests and the
// transport benchmark all run this one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strand.h"
#include "metrics/exposer.h"
#include "metrics/metrics.h"
#include "server/rpc/server.h"
#include "server/rpc/stream_metrics.h"
#include "server/scheduler/engine.h"
#include "server/stream/stream_context.h"
#include "server/stream/world_store.h"

namespace firstbyte {

struct HostOptions {
  std::string listen = "127.0.0.1:0";
  std::string metrics_listen = "off";
  absl::Duration first_message_timeout = absl::Seconds(10);
  int front_end_threads = 2;  // text front ends and Opus encoders
  absl::Duration default_max_lead = absl::Seconds(4);
  int max_calls = 4096;
  absl::Duration slow_consumer_timeout = absl::Seconds(30);
  absl::Duration max_world_duration = absl::Hours(4);
  absl::Duration max_world_idle = absl::Seconds(60);
  WorldStoreOptions worlds;
  LaneOptions lane;  // on_step is the host's own; the clock is also that of streams and admission
  AdmissionLimits admission;
  BuildInfo build;
};

// Listen, Serve and Drain from one thread.
class Host {
 public:
  // Opens the gRPC port, NOT_SERVING. kUnavailable says why it cannot.
  static absl::StatusOr<std::unique_ptr<Host>> Listen(HostOptions options);
  ~Host();

  // lane_models[lane][model], as Engine::Create() takes them. Opens the metrics port and the folder
  // of snapshots, warms the models up and turns readiness on.
  absl::Status Serve(std::vector<std::vector<std::unique_ptr<Model>>> lane_models);

  // See RpcServer::Drain().
  void Drain(absl::Duration lame_duck, absl::Duration timeout);

  int port() const { return rpc_->port(); }
  int metrics_port() const { return exposer_ ? exposer_->port() : 0; }
  LiveCalls& live_calls() { return rpc_->live_calls(); }
  Engine& engine() { return *engine_; }
  Metrics& metrics() { return *metrics_; }
  WorldStore& worlds() { return *worlds_; }

 private:
  explicit Host(HostOptions options) : options_(std::move(options)) {}

  // In the order in which each uses the ones above it.
  HostOptions options_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<StreamMetrics> observer_;
  std::unique_ptr<WorldStore> worlds_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Engine> engine_;
  StreamContext context_;
  std::unique_ptr<MetricsExposer> exposer_;
  std::unique_ptr<RpcServer> rpc_;
};

}  // namespace firstbyte

#include "server/rpc/host.h"

#include <utility>

namespace firstbyte {

absl::StatusOr<std::unique_ptr<Host>> Host::Listen(HostOptions options) {
  std::unique_ptr<Host> host(new Host(std::move(options)));
  absl::StatusOr<std::unique_ptr<RpcServer>> rpc =
      RpcServer::Start(host->options_.listen, host->options_.first_message_timeout);
  if (!rpc.ok()) return rpc.status();
  host->rpc_ = *std::move(rpc);
  return host;
}

Host::~Host() {
  rpc_.reset();  // when it is gone no call exists; the rest can go in any order
  exposer_.reset();
  engine_.reset();  // sessions that were still open are over
  // And so is what their streams asked of the store.
  if (worlds_) worlds_->WaitUntilParked(absl::Seconds(10));
}

absl::Status Host::Serve(std::vector<std::vector<std::unique_ptr<Model>>> lane_models) {
  std::vector<std::string> voices, worlds;
  for (const auto& model : lane_models.at(0)) {
    (model->info().world ? worlds : voices).push_back(model->info().name);
  }
  metrics_ = std::make_unique<Metrics>(voices, options_.build, worlds);
  observer_ = std::make_unique<StreamMetrics>(metrics_.get());
  pool_ = std::make_unique<ThreadPool>(options_.front_end_threads, "front_end");
  if (options_.metrics_listen != "off") {
    auto exposer = MetricsExposer::Listen(options_.metrics_listen, metrics_->collectable());
    if (!exposer.ok()) return exposer.status();
    exposer_ = *std::move(exposer);
  }
  absl::StatusOr<std::unique_ptr<WorldStore>> store = WorldStore::Create(options_.worlds);
  if (!store.ok()) return store.status();
  worlds_ = *std::move(store);
  LaneOptions lane = options_.lane;
  lane.on_step = [observer = observer_.get()](const ModelInfo& model, Stage stage, int batch,
                                              absl::Duration d) {
    observer->OnStep(model, stage, batch, d);
  };
  absl::StatusOr<std::unique_ptr<Engine>> engine =
      Engine::Create(std::move(lane_models), lane, options_.admission);
  if (!engine.ok()) return engine.status();
  engine_ = *std::move(engine);
  metrics_->AddScrapeHook([this] {
    ReportSlots(*engine_, *metrics_);
    ReportWorlds(*worlds_, *metrics_);
  });
  context_ = {.engine = engine_.get(),
              .pool = pool_.get(),
              .observer = observer_.get(),
              .worlds = worlds_.get(),
              .clock = lane.clock,
              .default_max_lead = options_.default_max_lead,
              .max_calls = options_.max_calls,
              .slow_consumer_timeout = options_.slow_consumer_timeout,
              .max_world_duration = options_.max_world_duration,
              .max_world_idle = options_.max_world_idle};
  rpc_->Serve(&context_);
  metrics_->ready.Set(1);
  return absl::OkStatus();
}

void Host::Drain(absl::Duration lame_duck, absl::Duration timeout) {
  if (metrics_) {
    metrics_->draining.Set(1);
    metrics_->ready.Set(0);
  }
  rpc_->Drain(lame_duck, timeout);
}

}  // namespace firstbyte

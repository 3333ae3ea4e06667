#include "server/rpc/host.h"

#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "metrics/nvml.h"
#include "nlohmann/json.hpp"
#include "server/scheduler/flight_file.h"

namespace firstbyte {

absl::StatusOr<std::unique_ptr<Host>> Host::Listen(HostOptions options) {
  std::unique_ptr<Host> host(new Host(std::move(options)));
  absl::StatusOr<std::unique_ptr<RpcServer>> rpc =
      RpcServer::Start(host->options_.listen, host->options_.first_message_timeout);
  if (!rpc.ok()) return rpc.status();
  host->rpc_ = *std::move(rpc);
  const std::string& admin_listen = host->options_.admin_listen;
  if (admin_listen.empty() || admin_listen == "off") return host;
  AdminOptions admin_options{.build = host->options_.build, .tracer = &host->tracer_};
  if (host->options_.on_drain_asked) {
    admin_options.drain = [self = host.get()](auto timeout) { return self->AskToDrain(timeout); };
  }
  auto admin = AdminServer::Start(admin_listen, std::move(admin_options));
  if (!admin.ok()) return admin.status();
  host->admin_ = *std::move(admin);
  return host;
}

Host::~Host() {
  admin_.reset();
  rpc_.reset();  // when it is gone no call exists; the rest can go in any order
  exposer_.reset();
  engine_.reset();  // sessions that were still open are over
  // And so is what their streams asked of the store.
  if (worlds_) worlds_->WaitUntilParked(absl::Seconds(10));
}

absl::Status Host::Serve(std::vector<std::vector<std::unique_ptr<Model>>> lane_models,
                         std::vector<LazyModel> lazy, std::vector<ModelSource> sources) {
  std::vector<std::string> voices, worlds;
  auto name = [&](const ModelInfo& info) { (info.world ? worlds : voices).push_back(info.name); };
  for (const auto& model : lane_models.at(0)) name(model->info());
  for (const LazyModel& model : lazy) name(model.info);
  metrics_ = std::make_unique<Metrics>(voices, options_.build, worlds);
  observer_ = std::make_unique<StreamMetrics>(metrics_.get());
  pool_ = std::make_unique<ThreadPool>(options_.front_end_threads, "front_end");
  if (options_.metrics_listen != "off") {
    if (options_.nvml_library != "off") {
      metrics_->ExportGpus(Nvml::Open(options_.nvml_library), Clock::Steady());
    }
    auto exposer = MetricsExposer::Listen(options_.metrics_listen, metrics_->collectable());
    if (!exposer.ok()) return exposer.status();
    exposer_ = *std::move(exposer);
  }
  absl::StatusOr<std::unique_ptr<WorldStore>> store = WorldStore::Create(options_.worlds);
  if (!store.ok()) return store.status();
  worlds_ = *std::move(store);
  const LaneOptions lane = WatchLanes(lane_models, lazy);
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Create(
      std::move(lane_models), lane, options_.admission, std::move(lazy), std::move(sources));
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
              .live_streams = &live_streams_,
              .tracer = &tracer_,
              .keep_inputs = options_.flight.inputs,
              .clock = lane.clock,
              .default_max_lead = options_.default_max_lead,
              .max_calls = options_.max_calls,
              .slow_consumer_timeout = options_.slow_consumer_timeout,
              .max_world_duration = options_.max_world_duration,
              .max_world_idle = options_.max_world_idle};
  rpc_->Serve(&context_);
  admin_context_ = {.engine = engine_.get(),
                    .streams = &live_streams_,
                    .meters = &meters_,
                    .flights = &flights_,
                    .clock = lane.clock};
  if (admin_) admin_->service().Serve(&admin_context_);
  metrics_->ready.Set(1);
  return absl::OkStatus();
}

// The lanes' options, with everyone who watches them.
LaneOptions Host::WatchLanes(const std::vector<std::vector<std::unique_ptr<Model>>>& lane_models,
                             const std::vector<LazyModel>& lazy) {
  LaneOptions lane = options_.lane;
  lane.tracer = &tracer_;
  lane.on_step = [this](const LaneStep& step) {
    observer_->OnStep(step);
    meters_[step.lane].Add(step);
  };
  lane.on_device_lost = [this](const absl::Status& status) {
    KeepFlights();
    if (options_.lane.on_device_lost) options_.lane.on_device_lost(status);
  };
  for (const auto& models : lane_models) {
    meters_.emplace_back(lane.clock->Now());
    if (options_.flight.max_bytes == 0) continue;
    std::vector<const ModelInfo*> infos;
    for (const auto& model : models) infos.push_back(&model->info());
    for (const LazyModel& model : lazy) infos.push_back(&model.info);
    const int index = static_cast<int>(flights_.size());
    lane.watchers.push_back(&flights_.emplace_back(index, infos, options_.flight, lane.clock));
  }
  return lane;
}

void Host::KeepFlights() {
  if (options_.flight_dir.empty() || flights_.empty()) return;
  const absl::StatusOr<std::string> path = WriteFlights(flights_, options_.flight_dir);
  if (path.ok()) LogWarning("flight_written", {{"path", *path}});
  if (!path.ok()) LogError("flight_not_written", {{"why", path.status().ToString()}});
}

void Host::Drain(absl::Duration lame_duck, absl::Duration timeout) {
  if (metrics_) {
    metrics_->draining.Set(1);
    metrics_->ready.Set(0);
  }
  draining_ = true;
  if (admin_) admin_->service().SetDraining();
  {
    MutexLock lock(&mu_);
    timeout = asked_timeout_.value_or(timeout);
  }
  rpc_->Drain(lame_duck, timeout);
}

absl::Status Host::AskToDrain(std::optional<absl::Duration> timeout) {
  if (draining_.exchange(true)) {
    return Error(absl::StatusCode::kFailedPrecondition, "ALREADY_DRAINING",
                 "this server is shutting down already");
  }
  {
    MutexLock lock(&mu_);
    asked_timeout_ = timeout;
  }
  options_.on_drain_asked();
  return absl::OkStatus();
}

}  // namespace firstbyte

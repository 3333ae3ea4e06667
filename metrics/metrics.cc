#include "metrics/metrics.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "base/clock.h"
#include "base/mutex.h"
#include "metrics/instruments.h"
#include "metrics/nvml.h"
#include "metrics/process_usage.h"

namespace firstbyte {
namespace {

constexpr char kNone[] = "none";
constexpr char kOther[] = "OTHER";
constexpr const char* kStages[] = {"prefill", "generate", "decode"};
constexpr char kCommit[] = "commit";  // worlds only
constexpr const char* kRejectReasons[] = {
    "NO_SLOT",        "OVERLOAD", "TTFB_TARGET", "DEADLINE_TOO_SHORT", "TENANT_QUOTA", "NO_MEMORY",
    "TOO_MANY_CALLS", "DRAINING", "STARTING",    "MODEL_UNLOADING",    kOther};
constexpr absl::Duration kGpuPeriod = absl::Seconds(1);
constexpr int kCodeCount = 17;  // gRPC's canonical codes, OK to UNAUTHENTICATED

using Labels = prometheus::Labels;

Labels ByMethodAndModel(Method method, absl::string_view model) {
  return {{"method", std::string(MethodName(method))}, {"model", std::string(model)}};
}

// The names of gRPC's documentation; absl spells only one of them otherwise.
std::string CodeName(int code) {
  return absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
}

}  // namespace

void Counter::Add(double amount) const { impl_->Increment(amount); }
void Gauge::Set(double value) const { impl_->Set(value); }
void Gauge::Add(double amount) const { impl_->Increment(amount); }
void Histogram::Observe(double value) const { impl_->Observe(value); }

absl::string_view MethodName(Method method) {
  switch (method) {
    case Method::kSynthesize:
      return "Synthesize";
    case Method::kSynthesizeOnce:
      return "SynthesizeOnce";
    case Method::kStepWorld:
      return "StepWorld";
  }
  return kNone;
}

// The registry with its families, and every handle. Runs the hooks, then collects.
struct Metrics::Impl : public prometheus::Collectable {
  template <typename T>
  using Families = std::map<absl::string_view, prometheus::Family<T>*>;

  prometheus::Registry registry;
  Families<prometheus::Counter> counters;
  Families<prometheus::Gauge> gauges;
  Families<prometheus::Histogram> histograms;

  std::map<std::pair<Method, std::string>, RequestMetrics> requests;
  std::map<std::string, ModelMetrics, std::less<>> models;
  std::map<std::string, WorldMetrics, std::less<>> worlds;
  std::map<std::tuple<Method, std::string, int>, Counter> ended;
  std::map<std::pair<Method, std::string>, Counter> rejected;
  std::map<std::pair<Method, bool>, Counter> cancelled;

  mutable Mutex mu;
  std::vector<std::function<void()>> hooks ABSL_GUARDED_BY(mu);
  double counted_cpu_seconds ABSL_GUARDED_BY(mu) = 0;

  Impl() {
    for (const Instrument& row : Instruments()) {
      std::string name(row.name), help(row.help);
      switch (row.kind) {
        case Instrument::Kind::kCounter:
          counters[row.name] = &prometheus::BuildCounter().Name(name).Help(help).Register(registry);
          break;
        case Instrument::Kind::kGauge:
          gauges[row.name] = &prometheus::BuildGauge().Name(name).Help(help).Register(registry);
          break;
        case Instrument::Kind::kHistogram:
          histograms[row.name] =
              &prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
          break;
      }
    }
  }

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<std::function<void()>> to_run;
    {
      MutexLock lock(&mu);
      to_run = hooks;
    }
    for (const auto& hook : to_run) hook();
    return registry.Collect();
  }

  // at(): a name that the table lacks is a programming error, found when any Metrics is made.
  Counter MakeCounter(absl::string_view name, const Labels& labels) {
    Counter counter;
    counter.impl_ = &counters.at(name)->Add(labels);
    return counter;
  }
  Gauge MakeGauge(absl::string_view name, const Labels& labels = {}) {
    Gauge gauge;
    gauge.impl_ = &gauges.at(name)->Add(labels);
    return gauge;
  }
  Histogram MakeHistogram(absl::string_view name, const Labels& labels) {
    Histogram histogram;
    auto row = std::find_if(Instruments().begin(), Instruments().end(),
                            [&](const Instrument& row) { return row.name == name; });
    histogram.impl_ = &histograms.at(name)->Add(labels, row->buckets);
    return histogram;
  }

  // What the process uses is read when somebody asks.
  std::function<void()> MakeProcess() {
    return [this, memory = MakeGauge("process_resident_memory_bytes"),
            heap = MakeGauge("firstbyte_heap_bytes"), threads = MakeGauge("process_threads"),
            fds = MakeGauge("process_open_fds"), start = MakeGauge("process_start_time_seconds"),
            cpu = MakeCounter("process_cpu_seconds_total", {})] {
      MutexLock lock(&mu);  // scrapes may overlap
      const ProcessUsage usage = ReadProcessUsage();
      memory.Set(static_cast<double>(usage.resident_bytes));
      heap.Set(static_cast<double>(usage.heap_bytes));
      threads.Set(usage.threads);
      fds.Set(usage.open_fds);
      start.Set(usage.start_time_seconds);
      cpu.Add(usage.cpu_seconds - std::exchange(counted_cpu_seconds, usage.cpu_seconds));
    };
  }

  void SetGpu(const GpuUsage& gpu) {
    const Labels labels = {{"gpu", std::to_string(gpu.index)}, {"uuid", gpu.uuid}};
    auto set = [&](absl::string_view name, const std::optional<double>& value) {
      MakeGauge(name, labels).Set(value.value_or(std::nan("")));
    };
    set("firstbyte_gpu_utilization_ratio", gpu.utilization);
    set("firstbyte_gpu_memory_used_bytes", gpu.memory_used);
    set("firstbyte_gpu_memory_bytes", gpu.memory_total);
    set("firstbyte_gpu_temperature_celsius", gpu.temperature);
    set("firstbyte_gpu_power_watts", gpu.power);
    set("firstbyte_gpu_sm_clock_hertz", gpu.sm_clock);
  }

  void MakeRequest(Method method, const std::string& model) {
    Labels labels = ByMethodAndModel(method, model);
    requests[{method, model}] = {
        .ttfb = MakeHistogram("firstbyte_request_ttfb_seconds", labels),
        .model_load = MakeHistogram("firstbyte_request_model_load_seconds", labels),
        .queue = MakeHistogram("firstbyte_request_queue_seconds", labels),
        .prefill = MakeHistogram("firstbyte_request_prefill_seconds", labels),
        .generation = MakeHistogram("firstbyte_request_generation_seconds", labels),
        .decode = MakeHistogram("firstbyte_request_decode_seconds", labels),
        .encode = MakeHistogram("firstbyte_request_encode_seconds", labels),
        .duration = MakeHistogram("firstbyte_request_duration_seconds", labels),
        .realtime_factor = MakeHistogram("firstbyte_request_realtime_factor_ratio", labels),
        .in_flight = MakeGauge("firstbyte_streams_in_flight", labels),
    };
  }

  void MakeStage(const char* stage, const std::string& model) {
    Labels both = {{"stage", stage}, {"model", model}};
    models[model].stages[stage] = {.step = MakeHistogram("firstbyte_step_seconds", both),
                                   .batch_size = MakeHistogram("firstbyte_batch_size", both)};
  }

  void MakeWorld(const std::string& name) {
    Labels labels = {{"model", name}};
    MakeStage(kCommit, name);
    worlds[name] = {
        .action_to_frame = MakeHistogram("firstbyte_action_to_frame_seconds", labels),
        .blocks = MakeCounter("firstbyte_blocks_total", labels),
        .late_blocks = MakeCounter("firstbyte_late_blocks_total", labels),
        .skipped_blocks = MakeCounter("firstbyte_skipped_blocks_total", labels),
    };
  }

  void MakeModel(const std::string& name) {
    Labels labels = {{"model", name}};
    ModelMetrics& model = models[name];
    for (const char* stage : kStages) MakeStage(stage, name);
    model.chunk_lead = MakeHistogram("firstbyte_chunk_lead_seconds", labels);
    model.chunk_interval = MakeHistogram("firstbyte_chunk_interval_seconds", labels);
    model.frames = MakeCounter("firstbyte_frames_total", labels);
    model.audio_seconds = MakeCounter("firstbyte_audio_seconds_total", labels);
    model.text_characters = MakeCounter("firstbyte_text_characters_total", labels);
    model.underruns = MakeCounter("firstbyte_stream_underruns_total", labels);
    model.starved = MakeCounter("firstbyte_stream_starved_total", labels);
    model.slow_consumers = MakeCounter("firstbyte_slow_consumers_total", labels);
    model.last_step_timestamp = MakeGauge("firstbyte_last_step_timestamp_seconds", labels);
    model.slots_used = MakeGauge("firstbyte_slots_used", labels);
    model.slots = MakeGauge("firstbyte_slots", labels);
    model.resident = MakeGauge("firstbyte_model_resident", labels);
  }

  void MakeOutcomes(Method method, const std::string& model) {
    for (int code = 0; code < kCodeCount; ++code) {
      Labels labels = ByMethodAndModel(method, model);
      labels["code"] = CodeName(code);
      ended[{method, model, code}] = MakeCounter("firstbyte_requests_total", labels);
    }
  }

  void MakeRefusals(Method method) {
    std::string name(MethodName(method));
    for (const char* reason : kRejectReasons) {
      rejected[{method, reason}] =
          MakeCounter("firstbyte_requests_rejected_total", {{"method", name}, {"reason", reason}});
    }
    const bool world = method == Method::kStepWorld;
    cancelled[{method, false}] =
        MakeCounter("firstbyte_requests_cancelled_total",
                    {{"method", name}, {"stage", world ? "before_block" : "before_audio"}});
    cancelled[{method, true}] =
        MakeCounter("firstbyte_requests_cancelled_total",
                    {{"method", name}, {"stage", world ? "playing" : "speaking"}});
  }
};

Metrics::Metrics(const std::vector<std::string>& voices, const BuildInfo& build,
                 const std::vector<std::string>& worlds)
    : impl_(std::make_shared<Impl>()) {
  AddScrapeHook(impl_->MakeProcess());
  ready = impl_->MakeGauge("firstbyte_ready");
  draining = impl_->MakeGauge("firstbyte_draining");
  outbox_bytes = impl_->MakeGauge("firstbyte_outbox_bytes");
  sessions_running = impl_->MakeGauge("firstbyte_world_sessions", {{"state", "running"}});
  sessions_paused = impl_->MakeGauge("firstbyte_world_sessions", {{"state", "paused"}});
  sessions_parked = impl_->MakeGauge("firstbyte_world_sessions", {{"state", "parked"}});
  parked_bytes = impl_->MakeGauge("firstbyte_world_store_bytes", {{"kind", "parked"}});
  snapshot_bytes = impl_->MakeGauge("firstbyte_world_store_bytes", {{"kind", "snapshots"}});
  impl_->MakeGauge("firstbyte_build_info", {{"version", build.version}, {"isa", build.isa}}).Set(1);
  for (const auto* models : {&voices, &worlds}) {
    for (const std::string& model : *models) impl_->MakeModel(model);
  }
  for (const std::string& world : worlds) impl_->MakeWorld(world);
  impl_->MakeModel(kNone);
  impl_->MakeWorld(kNone);
  for (Method method : {Method::kSynthesize, Method::kSynthesizeOnce, Method::kStepWorld}) {
    std::vector<std::string> models = method == Method::kStepWorld ? worlds : voices;
    models.emplace_back(kNone);
    for (const std::string& model : models) {
      impl_->MakeRequest(method, model);
      impl_->MakeOutcomes(method, model);
    }
    impl_->MakeRefusals(method);
  }
}

Metrics::~Metrics() = default;

const RequestMetrics& Metrics::request(Method method, absl::string_view model) const {
  auto found = impl_->requests.find({method, std::string(model)});
  if (found != impl_->requests.end()) return found->second;
  return impl_->requests.at({method, std::string(kNone)});
}

const ModelMetrics& Metrics::model(absl::string_view model) const {
  auto found = impl_->models.find(model);
  return found != impl_->models.end() ? found->second : impl_->models.find(kNone)->second;
}

const WorldMetrics& Metrics::world(absl::string_view model) const {
  auto found = impl_->worlds.find(model);
  return found != impl_->worlds.end() ? found->second : impl_->worlds.find(kNone)->second;
}

Counter Metrics::ended(Method method, absl::string_view model, absl::StatusCode code) const {
  int number = static_cast<int>(code);
  if (number < 0 || number >= kCodeCount) number = static_cast<int>(absl::StatusCode::kUnknown);
  auto found = impl_->ended.find({method, std::string(model), number});
  if (found != impl_->ended.end()) return found->second;
  return impl_->ended.at({method, std::string(kNone), number});
}

Counter Metrics::rejected(Method method, absl::string_view reason) const {
  auto found = impl_->rejected.find({method, std::string(reason)});
  return found != impl_->rejected.end() ? found->second : impl_->rejected.at({method, kOther});
}

Counter Metrics::cancelled(Method method, bool media_was_sent) const {
  return impl_->cancelled.at({method, media_was_sent});
}

Gauge Metrics::lane_load(int lane) const {
  return impl_->MakeGauge("firstbyte_lane_load_ratio", {{"lane", std::to_string(lane)}});
}

void Metrics::AddScrapeHook(std::function<void()> hook) {
  MutexLock lock(&impl_->mu);
  impl_->hooks.push_back(std::move(hook));
}

void Metrics::ExportGpus(std::unique_ptr<const Nvml> nvml, const Clock& clock) {
  if (nvml == nullptr) return;
  struct State {
    std::unique_ptr<const Nvml> nvml;
    Mutex mu;  // scrapes may overlap
    absl::Time next = absl::InfinitePast();
    std::vector<GpuUsage> gpus;
  };
  auto state = std::make_shared<State>();
  state->nvml = std::move(nvml);
  AddScrapeHook([impl = impl_.get(), state, &clock] {
    MutexLock lock(&state->mu);
    if (clock.Now() < state->next) return;
    state->next = clock.Now() + kGpuPeriod;
    for (GpuUsage& gpu : state->gpus) impl->SetGpu({.index = gpu.index, .uuid = gpu.uuid});  // NaN
    state->gpus = state->nvml->Read();
    for (const GpuUsage& gpu : state->gpus) impl->SetGpu(gpu);
  });
}

std::shared_ptr<prometheus::Collectable> Metrics::collectable() const { return impl_; }

}  // namespace firstbyte

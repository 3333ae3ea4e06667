// The instruments as typed handles: metrics.request(Method::kSynthesize, "rms").ttfb.Observe(...).
//
// Every handle is made in the constructor, so that known series export 0 from the start and the
// hot path is one atomic or one short lock (prometheus-cpp: 15 ns a counter, 35 ns an observation)
// and never a look-up. Thread-safe throughout. Handles are cheap to copy and live as long as the
// Metrics they came from. Label values outside the known sets fall into "none" or "OTHER": nothing
// a client sends makes a series.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace prometheus {
class Collectable;
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace firstbyte {

class Clock;
class Nvml;

class Counter {
 public:
  void Add(double amount = 1) const;  // amount >= 0

 private:
  friend class Metrics;
  prometheus::Counter* impl_ = nullptr;
};

class Gauge {
 public:
  void Set(double value) const;
  void Add(double amount) const;  // may be negative

 private:
  friend class Metrics;
  prometheus::Gauge* impl_ = nullptr;
};

class Histogram {
 public:
  void Observe(double value) const;
  void Observe(absl::Duration d) const { Observe(absl::ToDoubleSeconds(d)); }

 private:
  friend class Metrics;
  prometheus::Histogram* impl_ = nullptr;
};

enum class Method { kSynthesize, kSynthesizeOnce, kStepWorld };  // those that make media
absl::string_view MethodName(Method method);                     // "Synthesize", ...

// One stage of one model; the stages have the names of model.h ("prefill", ...).
struct StageMetrics {
  Histogram step, batch_size;
};

struct ModelMetrics {
  // "prefill", "generate", "decode"; worlds also "commit".
  std::map<std::string, StageMetrics, std::less<>> stages;
  Histogram chunk_lead, chunk_interval;
  Counter frames, audio_seconds, text_characters, underruns, starved, slow_consumers;
  Gauge last_step_timestamp, slots_used, slots, resident;
};

struct WorldMetrics {
  Histogram action_to_frame;
  Counter blocks, late_blocks, skipped_blocks;
};

// One method on one model.
struct RequestMetrics {
  Histogram ttfb, model_load, queue, prefill, generation, decode, encode, duration, realtime_factor;
  Gauge in_flight;
};

struct BuildInfo {
  std::string version;
  std::string isa;  // instruction set of the CPU kernels
};

class Metrics {
 public:
  Metrics(const std::vector<std::string>& voices, const BuildInfo& build,
          const std::vector<std::string>& worlds = {});
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // An unknown `model` (a request may name any) gets the series of model="none".
  const RequestMetrics& request(Method method, absl::string_view model) const;
  const ModelMetrics& model(absl::string_view model) const;
  const WorldMetrics& world(absl::string_view model) const;
  // Count these once, when the request ends.
  Counter ended(Method method, absl::string_view model, absl::StatusCode code) const;
  Counter rejected(Method method, absl::string_view reason) const;  // ErrorDetail::reason
  Counter cancelled(Method method, bool media_was_sent) const;

  // Made when first asked for, so that there are as many as lanes.
  Gauge lane_load(int lane) const;

  Gauge ready, draining, outbox_bytes;
  // What a world store holds.
  Gauge sessions_running, sessions_paused, sessions_parked, parked_bytes, snapshot_bytes;

  // Calls `hook` before each scrape, on the scraping thread: set gauges that are cheaper to read
  // than to keep up to date. What it refers to must outlive the Exposer.
  void AddScrapeHook(std::function<void()> hook);

  // Exports the GPUs of `nvml`, read at scrapes, at most once a second; nullptr: none. Once.
  void ExportGpus(std::unique_ptr<const Nvml> nvml, const Clock& clock);

  // What an Exposer serves.
  std::shared_ptr<prometheus::Collectable> collectable() const;

 private:
  struct Impl;
  const std::shared_ptr<Impl> impl_;
};

}  // namespace firstbyte

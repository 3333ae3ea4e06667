// What streams and lanes report, as metrics and one log line a request.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "metrics/metrics.h"
#include "server/scheduler/lane_events.h"
#include "server/stream/stream_observer.h"

namespace firstbyte {

class Engine;
class WorldStore;

// Thread-safe. `metrics` and `models` outlive it. Logs no text and no audio.
class StreamMetrics : public StreamObserver {
 public:
  explicit StreamMetrics(Metrics* metrics) : metrics_(*metrics) {}

  void OnStarted(const std::string& method, const std::string& model) override;
  void OnEnded(const RequestRecord& record) override;
  void OnChunk(const std::string& model, absl::Duration lead,
               std::optional<absl::Duration> interval) override;
  void OnUnderrun(const std::string& model, absl::Duration silence) override;
  void OnStarved(const std::string& model) override;
  void OnSlowConsumer(const std::string& model) override;
  void OnOutboxBytes(int64_t delta) override;
  void OnWorldEnded(const WorldRecord& record) override;
  void OnBlock(const std::string& model, int frames, bool late) override;
  void OnSkippedBlocks(const std::string& model, int blocks) override;
  void OnActionToFrame(const std::string& model, absl::Duration delay) override;

  // For LaneOptions::on_step.
  void OnStep(const LaneStep& step);

 private:
  void ObserveStream(Method method, const RequestRecord& record);  // one that was admitted

  Metrics& metrics_;
};

// Sets the gauges of slots and lanes from the engine's ledger.
void ReportSlots(Engine& engine, const Metrics& metrics);
// Sets the gauges of world sessions.
void ReportWorlds(const WorldStore& worlds, const Metrics& metrics);

}  // namespace firstbyte

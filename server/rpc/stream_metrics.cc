#include "server/rpc/stream_metrics.h"

#include "absl/time/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "nlohmann/json.hpp"
#include "server/scheduler/engine.h"
#include "server/stream/world_store.h"

namespace firstbyte {
namespace {

Method MethodOf(const std::string& name) {
  for (Method method : {Method::kSynthesizeOnce, Method::kStepWorld}) {
    if (name == MethodName(method)) return method;
  }
  return Method::kSynthesize;
}

void ObservePhases(const RequestTiming& timing, const RequestMetrics& metrics) {
  metrics.model_load.Observe(timing.model_load);
  metrics.queue.Observe(timing.queue);
  metrics.prefill.Observe(timing.prefill);
  metrics.generation.Observe(timing.generation);
  metrics.decode.Observe(timing.decode);
  metrics.encode.Observe(timing.encode);
  metrics.duration.Observe(timing.total);
  metrics.realtime_factor.Observe(timing.realtime_factor);
}

double Millis(absl::Duration d) { return absl::ToDoubleMilliseconds(d); }

// The phases of docs/metrics.md.
void AddPhases(const RequestTiming& timing, nlohmann::json* line) {
  line->update({{"model_load_ms", Millis(timing.model_load)},
                {"queue_ms", Millis(timing.queue)},
                {"prefill_ms", Millis(timing.prefill)},
                {"generation_ms", Millis(timing.generation)},
                {"decode_ms", Millis(timing.decode)},
                {"encode_ms", Millis(timing.encode)},
                {"ttfb_ms", Millis(timing.first_byte)},
                {"total_ms", Millis(timing.total)},
                {"mean_batch_size", timing.mean_batch_size},
                {"rtf", timing.realtime_factor}});
}

// What every line of a request says. One that was not admitted has no phases: under overload such
// lines are the most, and they must cost little.
template <typename Record>
nlohmann::json LineOf(const std::string& method, const Record& record) {
  const absl::Status& status = record.end.status;
  nlohmann::json line = {{"request_id", record.end.request_id},
                         {"method", method},
                         {"model", record.model},
                         {"code", absl::StatusCodeToString(status.code())}};
  if (record.admitted) AddPhases(record.end.summary.timing, &line);
  if (!status.ok()) line["reason"] = DetailOf(status).reason;
  if (!record.traceparent.empty()) line["traceparent"] = record.traceparent;
  return line;
}

void LogRequest(const RequestRecord& record) {
  const SpeechSummary& summary = record.end.summary;
  nlohmann::json line = LineOf(record.method, record);
  if (record.admitted) {
    line["text_characters"] = summary.text_characters;
    line["audio_ms"] = Millis(summary.audio_duration);
  }
  LogInfo("request", line);
}

void LogWorld(const WorldRecord& record) {
  const WorldSummary& summary = record.end.summary;
  nlohmann::json line = LineOf("StepWorld", record);
  if (record.admitted) {
    line["blocks"] = summary.blocks;
    line["skipped_blocks"] = summary.skipped_blocks;
  }
  LogInfo("request", line);
}

}  // namespace

void StreamMetrics::OnStarted(const std::string& method, const std::string& model) {
  metrics_.request(MethodOf(method), model).in_flight.Add(1);
}

void StreamMetrics::OnEnded(const RequestRecord& record) {
  const Method method = MethodOf(record.method);
  const absl::StatusCode code = record.end.status.code();
  metrics_.ended(method, record.model, code).Add();
  if (record.admitted) {
    ObserveStream(method, record);
  } else if (const ErrorDetail detail = DetailOf(record.end.status); detail.retry_after) {
    metrics_.rejected(method, detail.reason).Add();
  }
  LogRequest(record);
}

void StreamMetrics::ObserveStream(Method method, const RequestRecord& record) {
  const RequestMetrics& metrics = metrics_.request(method, record.model);
  const SpeechSummary& summary = record.end.summary;
  const absl::StatusCode code = record.end.status.code();
  const bool spoke = summary.chunks > 0;
  metrics.in_flight.Add(-1);
  metrics_.model(record.model).text_characters.Add(static_cast<double>(summary.text_characters));
  if (code == absl::StatusCode::kCancelled) metrics_.cancelled(method, spoke).Add();
  if (spoke) {
    metrics.ttfb.Observe(summary.timing.first_byte);
    metrics_.model(record.model).audio_seconds.Add(absl::ToDoubleSeconds(summary.audio_duration));
  }
  // Phases of a stream that was cut off would say little about the server.
  if (code == absl::StatusCode::kOk) ObservePhases(summary.timing, metrics);
}

void StreamMetrics::OnChunk(const std::string& model, absl::Duration lead,
                            std::optional<absl::Duration> interval) {
  const ModelMetrics& metrics = metrics_.model(model);
  metrics.chunk_lead.Observe(lead);
  if (interval) metrics.chunk_interval.Observe(*interval);
}

void StreamMetrics::OnUnderrun(const std::string& model, absl::Duration) {
  metrics_.model(model).underruns.Add();
}

void StreamMetrics::OnStarved(const std::string& model) { metrics_.model(model).starved.Add(); }

void StreamMetrics::OnSlowConsumer(const std::string& model) {
  metrics_.model(model).slow_consumers.Add();
}

void StreamMetrics::OnOutboxBytes(int64_t delta) {
  metrics_.outbox_bytes.Add(static_cast<double>(delta));
}

void StreamMetrics::OnWorldEnded(const WorldRecord& record) {
  const absl::Status& status = record.end.status;
  const RequestTiming& timing = record.end.summary.timing;
  metrics_.ended(Method::kStepWorld, record.model, status.code()).Add();
  if (record.admitted) {
    const RequestMetrics& metrics = metrics_.request(Method::kStepWorld, record.model);
    const bool played = record.end.summary.blocks > 0;
    metrics.in_flight.Add(-1);
    if (absl::IsCancelled(status)) metrics_.cancelled(Method::kStepWorld, played).Add();
    if (played) metrics.ttfb.Observe(timing.first_byte);
    if (status.ok()) ObservePhases(timing, metrics);
  } else if (const ErrorDetail detail = DetailOf(status); detail.retry_after) {
    metrics_.rejected(Method::kStepWorld, detail.reason).Add();
  }
  LogWorld(record);
}

void StreamMetrics::OnBlock(const std::string& model, int frames, bool late) {
  const WorldMetrics& metrics = metrics_.world(model);
  metrics.blocks.Add();
  if (late) metrics.late_blocks.Add();
  metrics_.model(model).frames.Add(frames);
}

void StreamMetrics::OnSkippedBlocks(const std::string& model, int blocks) {
  metrics_.world(model).skipped_blocks.Add(blocks);
}

void StreamMetrics::OnActionToFrame(const std::string& model, absl::Duration delay) {
  metrics_.world(model).action_to_frame.Observe(delay);
}

void StreamMetrics::OnStep(const LaneStep& step) {
  const ModelMetrics& metrics = metrics_.model(step.info.name);
  const auto batch = static_cast<double>(step.sessions.size());
  auto it = metrics.stages.find(std::string(StageName(step.stage)));
  if (it == metrics.stages.end()) return;
  it->second.step.Observe(step.end - step.begin);
  it->second.batch_size.Observe(batch);
  if (step.stage == Stage::kGenerate && !step.info.world) metrics.frames.Add(batch);
  metrics.last_step_timestamp.Set(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
}

void ReportSlots(Engine& engine, const Metrics& metrics) {
  const std::vector<const ModelInfo*> models = engine.models();
  for (size_t i = 0; i < models.size(); ++i) {
    const AdmissionLedger::Usage usage = engine.admission().usage(static_cast<int>(i));
    const ModelMetrics& model = metrics.model(models[i]->name);
    model.slots_used.Set(usage.used);
    model.slots.Set(usage.total);
    model.resident.Set(engine.resident(static_cast<int>(i)) ? 1 : 0);
  }
  for (int lane = 0; lane < engine.lanes(); ++lane) {
    metrics.lane_load(lane).Set(engine.admission().load(lane));
  }
}

void ReportWorlds(const WorldStore& worlds, const Metrics& metrics) {
  const WorldStore::Counts counts = worlds.counts();
  metrics.sessions_running.Set(counts.running);
  metrics.sessions_paused.Set(counts.paused);
  metrics.sessions_parked.Set(counts.parked);
  metrics.parked_bytes.Set(static_cast<double>(counts.parked_bytes));
  metrics.snapshot_bytes.Set(static_cast<double>(counts.snapshot_bytes));
}

}  // namespace firstbyte

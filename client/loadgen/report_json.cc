#include "client/loadgen/report_json.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/error.h"
#include "client/loadgen/validity.h"
#include "client/proto_time.h"

namespace firstbyte {
namespace {

constexpr std::array<std::pair<const char*, double>, 5> kPercentiles = {
    {{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}}};
constexpr size_t kMostSamples = 10'000;

double Microseconds(double seconds) { return std::round(seconds * 1e6) / 1e6; }
double Since(absl::Time from, absl::Time at) {
  return Microseconds(absl::ToDoubleSeconds(at - from));
}
double Seconds(const google::protobuf::Duration& d) { return absl::ToDoubleSeconds(FromProto(d)); }

nlohmann::json ToJson(const Samples& samples) {
  nlohmann::json json = {{"n", samples.size()}, {"mean", samples.mean()}, {"max", samples.max()}};
  for (const auto& [label, p] : kPercentiles) {
    auto value = samples.Percentile(p);
    json[label] = value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  }
  return json;
}

// Sorted; of very many only evenly spaced ones, which keeps the percentiles.
nlohmann::json Sorted(const Samples& samples) {
  std::vector<double> values = samples.values();
  std::sort(values.begin(), values.end());
  nlohmann::json json = nlohmann::json::array();
  const size_t kept = std::min(values.size(), kMostSamples);
  for (size_t i = 0; i < kept; ++i) {
    json.push_back(Microseconds(values[(2 * i + 1) * values.size() / (2 * kept)]));
  }
  return json;
}

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

const char* ModeName(LoadMode mode) {
  switch (mode) {
    case LoadMode::kListeners:
      return "listeners";
    case LoadMode::kConcurrency:
      return "concurrency";
    case LoadMode::kQps:
      return "qps";
  }
  return "?";
}

const char* ArrivalName(ArrivalKind kind) {
  switch (kind) {
    case ArrivalKind::kPoisson:
      return "poisson";
    case ArrivalKind::kConstant:
      return "constant";
    case ArrivalKind::kTrace:
      return "trace";
  }
  return "?";
}

void AddOptions(const LoadOptions& options, nlohmann::json* json) {
  const LoadLevel& level = options.level;
  (*json)["mode"] = ModeName(level.mode);
  (*json)["amount"] = level.amount;
  if (level.mode == LoadMode::kQps) {
    (*json)["arrival"] = ArrivalName(options.arrival);
  } else {
    (*json)["streams"] = static_cast<int64_t>(level.amount);
  }
  (*json)["duration_s"] = absl::ToDoubleSeconds(options.duration);
  (*json)["warmup_s"] = absl::ToDoubleSeconds(options.warmup);
  (*json)["jitter_buffer_s"] = absl::ToDoubleSeconds(options.jitter_buffer);
  (*json)["ttfb_target_s"] = absl::ToDoubleSeconds(options.ttfb_target);
}

void AddCounts(const Tally& tally, nlohmann::json* json) {
  json->update({
      {"measured_s", tally.wall_seconds},
      {"calls", tally.calls},
      {"failed", tally.failed()},
      {"left_early", tally.left},
      {"rejected", tally.rejected},
      {"errors", tally.errors},
      {"calls_per_s", tally.PerSecond(static_cast<double>(tally.calls))},
      {"goodput_per_s", tally.PerSecond(static_cast<double>(tally.good))},
      {"aggregate_rtf", tally.aggregate_rtf()},
      {"audio_s", tally.audio_seconds},
      {"audio_s_per_s", tally.audio_seconds_per_second()},
      {"underruns", tally.underruns},
      {"calls_with_underruns", tally.calls_with_underruns},
      {"stalled_s", tally.stalled_seconds},
      {"frames", tally.frames},
      {"frames_per_s", tally.frames_per_second()},
      {"blocks", tally.blocks},
      {"late_blocks", tally.late_blocks},
      {"skipped_blocks", tally.skipped_blocks},
      {"lost_connections", tally.lost_connections},
  });
}

void AddSamples(const Tally& tally, nlohmann::json* json) {
  const std::pair<const char*, const Samples*> all[] = {
      {"ttfb_s", &tally.ttfb},
      {"ttfa_s", &tally.ttfa},
      {"leading_silence_s", &tally.leading_silence},
      {"ttfb_beyond_server_s", &tally.ttfb_beyond_server},
      {"server_ttfb_s", &tally.server_ttfb},
      {"chunk_gap_s", &tally.chunk_gap},
      {"action_to_frame_s", &tally.action_to_frame},
      {"send_lag_s", &tally.send_lag},
      {"retry_after_s", &tally.retry_after},
      {"stream_rtf", &tally.stream_rtf}};
  for (const auto& [name, samples] : all) (*json)[name] = ToJson(*samples);
  (*json)["samples"] = {{"ttfb_s", Sorted(tally.ttfb)},
                        {"ttfa_s", Sorted(tally.ttfa)},
                        {"stream_rtf", Sorted(tally.stream_rtf)},
                        {"action_to_frame_s", Sorted(tally.action_to_frame)},
                        {"underruns_of_call", Sorted(tally.underruns_of_call)}};
}

// For plots: [[seconds since the call was due, seconds of media], ...]
nlohmann::json Shown(const Tally& tally) {
  nlohmann::json calls = nlohmann::json::array();
  for (const CallRecord& record : tally.shown) {
    nlohmann::json chunks = nlohmann::json::array();
    for (const Arrival& arrival : record.arrivals) {
      chunks.push_back({Since(record.scheduled, arrival.at),
                        Microseconds(absl::ToDoubleSeconds(arrival.media))});
    }
    calls.push_back({{"id", record.id}, {"chunks", std::move(chunks)}});
  }
  return calls;
}

nlohmann::json TimingJson(const v1::Timing& timing) {
  return {{"model_load_s", Seconds(timing.model_load_duration())},
          {"queue_s", Seconds(timing.queue_duration())},
          {"prefill_s", Seconds(timing.prefill_duration())},
          {"generation_s", Seconds(timing.generation_duration())},
          {"decode_s", Seconds(timing.decode_duration())},
          {"encode_s", Seconds(timing.encode_duration())},
          {"first_byte_s", Seconds(timing.first_byte_duration())},
          {"total_s", Seconds(timing.total_duration())},
          {"realtime_factor", timing.realtime_factor()},
          {"mean_batch_size", timing.mean_batch_size()}};
}

}  // namespace

nlohmann::json HeaderJson(const ConnectionOptions& connection, Service service, uint64_t seed,
                          absl::Time began) {
  return {{"schema", kReportSchema},
          {"target", connection.target},
          {"service", service == Service::kSpeech ? "speech" : "worlds"},
          {"channels", connection.channels},
          {"seed", seed},
          {"began", absl::FormatTime(absl::RFC3339_sec, began, absl::UTCTimeZone())},
          {"machine", {{"cpu", CpuModel()}, {"cores", std::thread::hardware_concurrency()}}}};
}

nlohmann::json LevelJson(const LoadOptions& options, const Tally& tally) {
  nlohmann::json json;
  AddOptions(options, &json);
  AddCounts(tally, &json);
  AddSamples(tally, &json);
  json["shown"] = Shown(tally);
  json["invalid"] = WhyInvalid(tally);
  json["valid"] = json["invalid"].empty();
  return json;
}

nlohmann::json RecordJson(const CallRecord& record, absl::Time run_start) {
  nlohmann::json json = {{"id", record.id},
                         {"stream", record.stream},
                         {"behaviour", BehaviourName(record.behaviour)},
                         {"scheduled_s", Since(run_start, record.scheduled)},
                         {"sent_s", Since(run_start, record.start)},
                         {"end_s", Since(run_start, record.end)},
                         {"status", absl::StatusCodeToString(record.status.code())}};
  if (!record.status.ok()) {
    const ErrorDetail detail = DetailOf(record.status);
    json["reason"] = detail.reason;
    if (detail.retry_after) json["retry_after_s"] = absl::ToDoubleSeconds(*detail.retry_after);
  }
  nlohmann::json chunks = nlohmann::json::array();
  absl::Duration offset;
  for (const Arrival& arrival : record.arrivals) {
    chunks.push_back({Since(run_start, arrival.at), Microseconds(absl::ToDoubleSeconds(offset)),
                      Microseconds(absl::ToDoubleSeconds(arrival.media))});
    offset += arrival.media;
  }
  if (!record.arrivals.empty()) json["first_byte_s"] = Since(run_start, record.arrivals[0].at);
  if (record.audible) {
    json["first_audible_s"] = Since(run_start, record.arrivals[0].at + *record.audible);
  }
  json["chunks"] = std::move(chunks);
  for (absl::Duration seen : record.action_to_frame) {
    json["action_to_frame_s"].push_back(Microseconds(absl::ToDoubleSeconds(seen)));
  }
  if (record.timing) json["timing"] = TimingJson(*record.timing);
  return json;
}

}  // namespace firstbyte

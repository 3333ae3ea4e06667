#include "client/loadgen/report.h"

#include <array>
#include <fstream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

constexpr std::array<std::pair<const char*, double>, 4> kPercentiles = {
    {{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}}};

std::string Row(absl::string_view name, const Samples& samples, double scale) {
  std::string row = absl::StrFormat("  %-22s", name);
  for (const auto& [label, p] : kPercentiles) {
    auto value = samples.Percentile(p);
    absl::StrAppend(&row, value ? absl::StrFormat("%9.2f", *value * scale) : "      n/a");
  }
  absl::StrAppendFormat(&row, "%9.2f%9d\n", samples.max() * scale, samples.size());
  return row;
}

nlohmann::json ToJson(const Samples& samples) {
  nlohmann::json json = {{"n", samples.size()}, {"mean", samples.mean()}, {"max", samples.max()}};
  for (const auto& [label, p] : kPercentiles) {
    auto value = samples.Percentile(p);
    json[label] = value ? nlohmann::json(*value) : nlohmann::json(nullptr);
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

std::string Mode(const LoadOptions& options) {
  return options.listeners > 0 ? absl::StrCat(options.listeners, " listeners")
                               : absl::StrCat("closed loop of ", options.concurrency);
}

}  // namespace

std::string ReportTable(const LoadOptions& options, const Tally& tally) {
  std::string table = absl::StrFormat("%s against %s, %.1f s measured\n\n", Mode(options),
                                      options.target, tally.wall_seconds);
  absl::StrAppend(&table, "  milliseconds                p50      p90      p95      p99      max",
                  "        n\n");
  constexpr double kMs = 1000;
  absl::StrAppend(&table, Row("first byte (TTFB)", tally.ttfb, kMs),
                  Row("first sound (TTFA)", tally.ttfa, kMs),
                  Row("TTFB beyond server's", tally.ttfb_beyond_server, kMs),
                  Row("gap between chunks", tally.chunk_gap, kMs),
                  Row("generator late by", tally.lateness, kMs),
                  Row("RTF a stream (ratio)", tally.stream_rtf, 1));
  absl::StrAppendFormat(&table, "\n  calls      %d, %d failed\n", tally.calls, tally.failed());
  for (const auto& [name, count] : tally.errors) {
    absl::StrAppendFormat(&table, "    %-30s %d\n", name, count);
  }
  absl::StrAppendFormat(&table, "  underruns  %d in %d calls, %.2f s of silence\n", tally.underruns,
                        tally.calls_with_underruns, tally.stalled_seconds);
  absl::StrAppendFormat(&table,
                        "  audio      %.1f s, %.1f s a second; aggregate RTF %.4f (wall / all "
                        "audio)\n",
                        tally.audio_seconds, tally.audio_seconds_per_second(),
                        tally.aggregate_rtf());
  if (!tally.valid()) {
    absl::StrAppend(&table, "  INVALID: more than 1 % of calls started over 10 ms late; this ",
                    "machine is too busy to generate the load\n");
  }
  return table;
}

nlohmann::json ReportJson(const LoadOptions& options, const Tally& tally) {
  return {
      {"schema", 1},
      {"target", options.target},
      {"mode", options.listeners > 0 ? "listeners" : "concurrency"},
      {"streams", options.listeners > 0 ? options.listeners : options.concurrency},
      {"duration_s", absl::ToDoubleSeconds(options.duration)},
      {"warmup_s", absl::ToDoubleSeconds(options.warmup)},
      {"jitter_buffer_s", absl::ToDoubleSeconds(options.jitter_buffer)},
      {"channels", options.channels},
      {"seed", options.seed},
      {"measured_s", tally.wall_seconds},
      {"calls", tally.calls},
      {"failed", tally.failed()},
      {"errors", tally.errors},
      {"ttfb_s", ToJson(tally.ttfb)},
      {"ttfa_s", ToJson(tally.ttfa)},
      {"leading_silence_s", ToJson(tally.leading_silence)},
      {"ttfb_beyond_server_s", ToJson(tally.ttfb_beyond_server)},
      {"chunk_gap_s", ToJson(tally.chunk_gap)},
      {"lateness_s", ToJson(tally.lateness)},
      {"stream_rtf", ToJson(tally.stream_rtf)},
      {"aggregate_rtf", tally.aggregate_rtf()},
      {"audio_s", tally.audio_seconds},
      {"audio_s_per_s", tally.audio_seconds_per_second()},
      {"underruns", tally.underruns},
      {"calls_with_underruns", tally.calls_with_underruns},
      {"stalled_s", tally.stalled_seconds},
      {"valid", tally.valid()},
      {"machine", {{"cpu", CpuModel()}, {"cores", std::thread::hardware_concurrency()}}},
  };
}

std::string ProgressLine(const Progress& progress) {
  const Tally& tally = *progress.tally;
  auto p50 = tally.ttfb.Percentile(0.5);
  return absl::StrFormat("%4.0f s  %d in flight  %d done  %d failed  %d underruns  TTFB p50 %s",
                         absl::ToDoubleSeconds(progress.elapsed), progress.in_flight,
                         tally.succeeded, tally.failed(), tally.underruns,
                         p50 ? absl::StrFormat("%.1f ms", *p50 * 1000) : "n/a");
}

}  // namespace firstbyte

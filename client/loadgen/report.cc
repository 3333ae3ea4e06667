#include "client/loadgen/report.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/loadgen/validity.h"

namespace firstbyte {
namespace {

constexpr double kMs = 1000;

// Empty without samples: a table of speech has no line for worlds.
std::string Row(absl::string_view name, const Samples& samples, double scale) {
  if (samples.size() == 0) return "";
  std::string row = absl::StrFormat("  %-22s", name);
  for (double p : {0.5, 0.9, 0.95, 0.99, 0.999}) {
    auto value = samples.Percentile(p);
    absl::StrAppend(&row, value ? absl::StrFormat("%9.2f", *value * scale) : "      n/a");
  }
  absl::StrAppendFormat(&row, "%9.2f%9d\n", samples.max() * scale, samples.size());
  return row;
}

std::string Counts(const Tally& tally) {
  std::string text = absl::StrFormat("\n  calls      %d, %d failed", tally.calls, tally.failed());
  if (tally.left > 0) absl::StrAppendFormat(&text, ", %d left early on purpose", tally.left);
  absl::StrAppendFormat(&text, "; %.2f a second, %.2f good ones\n", tally.PerSecond(tally.calls),
                        tally.PerSecond(tally.good));
  for (const auto& [name, count] : tally.errors) {
    absl::StrAppendFormat(&text, "    %-30s %d\n", name, count);
  }
  if (tally.rejected > 0) {
    absl::StrAppendFormat(&text, "  refused    %d, to be tried again after %.2f s (mean)\n",
                          tally.rejected, tally.retry_after.mean());
  }
  return text;
}

std::string Media(const Tally& tally) {
  std::string text = absl::StrFormat("  underruns  %d", tally.underruns);
  if (tally.underruns > 0) {
    absl::StrAppendFormat(&text, " in %d calls, %.2f s of silence", tally.calls_with_underruns,
                          tally.stalled_seconds);
  }
  absl::StrAppendFormat(&text, "; worst gap %.0f ms\n", tally.chunk_gap.max() * kMs);
  if (tally.blocks > 0) {
    absl::StrAppendFormat(
        &text, "  frames     %d, %.1f a second; %d blocks, %d late, %d left out\n", tally.frames,
        tally.frames_per_second(), tally.blocks, tally.late_blocks, tally.skipped_blocks);
  }
  absl::StrAppendFormat(&text,
                        "  %-10s %.1f s, %.1f s a second; aggregate RTF %.4f (of all together)\n",
                        tally.blocks > 0 ? "play time" : "audio", tally.audio_seconds,
                        tally.audio_seconds_per_second(), tally.aggregate_rtf());
  return text;
}

}  // namespace

std::string ReportTable(const std::string& target, const LoadOptions& options, const Tally& tally) {
  std::string table = absl::StrFormat("%s against %s, %.1f s measured\n\n", Describe(options.level),
                                      target, tally.wall_seconds);
  absl::StrAppend(&table, "  milliseconds                p50      p90      p95      p99    p99.9",
                  "      max        n\n");
  absl::StrAppend(
      &table, Row("first byte (TTFB)", tally.ttfb, kMs), Row("first sound (TTFA)", tally.ttfa, kMs),
      Row("TTFB beyond server's", tally.ttfb_beyond_server, kMs),
      Row("action to frame", tally.action_to_frame, kMs),
      Row(tally.blocks > 0 ? "gap between blocks" : "gap between chunks", tally.chunk_gap, kMs),
      Row("sent late by", tally.send_lag, kMs), Row("RTF a request (ratio)", tally.stream_rtf, 1));
  absl::StrAppend(&table, Counts(tally), Media(tally));
  for (const std::string& why : WhyInvalid(tally)) {
    absl::StrAppend(&table, "  INVALID: ", why, "\n");
  }
  return table;
}

std::string ProgressLine(const LoadLevel& level, const Progress& progress) {
  const Tally& tally = *progress.tally;
  auto p50 = tally.ttfb.Percentile(0.5);
  return absl::StrFormat("%s  %4.0f s  %d in flight  %d done  %d failed  %d underruns  TTFB p50 %s",
                         Describe(level), absl::ToDoubleSeconds(progress.elapsed),
                         progress.in_flight, tally.succeeded, tally.failed(), tally.underruns,
                         p50 ? absl::StrFormat("%.1f ms", *p50 * kMs) : "n/a");
}

}  // namespace firstbyte

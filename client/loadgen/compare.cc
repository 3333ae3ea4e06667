#include "client/loadgen/compare.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/loadgen/draw.h"
#include "client/loadgen/report_json.h"
#include "client/loadgen/samples.h"
#include "client/table.h"

namespace firstbyte {
namespace {

constexpr int kResamples = 1000;
constexpr double kTail = 0.025;  // each side of a 95 % interval
constexpr double kMean = -1;     // instead of a percentile
constexpr size_t kMeanOf = 20;   // at least, as a median: one request bootstraps to itself

struct Figure {
  const char* samples;
  const char* label;
  double percentile;  // or kMean
};

constexpr Figure kFigures[] = {
    {"ttfb_s", "TTFB p50", 0.5},
    {"ttfb_s", "TTFB p95", 0.95},
    {"ttfb_s", "TTFB p99", 0.99},
    {"ttfa_s", "TTFA p50", 0.5},
    {"ttfa_s", "TTFA p95", 0.95},
    {"action_to_frame_s", "action to frame p50", 0.5},
    {"action_to_frame_s", "action to frame p95", 0.95},
    {"stream_rtf", "RTF p50", 0.5},
    {"underruns_of_call", "underruns a request", kMean},
    {"failed", "failed share", kMean},
};

std::vector<double> SamplesOf(const nlohmann::json& level, const std::string& name) {
  if (name != "failed") return level.at("samples").value(name, std::vector<double>());
  const auto calls = level.at("calls").get<int64_t>(), failed = level.at("failed").get<int64_t>();
  if (calls < 0 || failed < 0 || failed > calls || calls > 10'000'000) return {};
  std::vector<double> samples(calls, 0.0);
  std::fill_n(samples.begin(), failed, 1.0);
  return samples;
}

std::optional<double> Value(const std::vector<double>& values, double percentile) {
  if (values.empty() || (percentile == kMean && values.size() < kMeanOf)) return std::nullopt;
  Samples samples;
  for (double value : values) samples.Add(value);
  return percentile == kMean ? samples.mean() : samples.Percentile(percentile);
}

// `drawn` values of `values` with replacement; the figure of each such set.
std::vector<double> Resample(const std::vector<double>& values, double percentile, uint64_t seed) {
  std::vector<double> figures, drawn(values.size());
  for (int round = 0; round < kResamples; ++round) {
    uint64_t draw = Draw(seed, Purpose::kBootstrap, round);
    for (double& value : drawn) value = values[(draw = Mix(draw)) % values.size()];
    figures.push_back(*Value(drawn, percentile));
  }
  return figures;
}

std::optional<Change> CompareFigure(const Figure& figure, const nlohmann::json& base,
                                    const nlohmann::json& next, double tolerance) {
  const std::vector<double> before = SamplesOf(base, figure.samples);
  const std::vector<double> after = SamplesOf(next, figure.samples);
  const auto old_value = Value(before, figure.percentile);
  const auto new_value = Value(after, figure.percentile);
  if (!old_value || !new_value) return std::nullopt;
  const std::vector<double> old_figures = Resample(before, figure.percentile, 1);
  std::vector<double> differences = Resample(after, figure.percentile, 2);
  for (int i = 0; i < kResamples; ++i) differences[i] -= old_figures[i];
  std::sort(differences.begin(), differences.end());
  Change change{.figure = figure.label, .base = *old_value, .next = *new_value};
  change.low = differences[static_cast<size_t>(kTail * kResamples)];
  change.high = differences[static_cast<size_t>((1 - kTail) * kResamples) - 1];
  const double grown = change.next - change.base, allowed = tolerance * change.base;
  if (change.low > 0 && grown > allowed) change.verdict = Verdict::kWorse;
  if (change.high < 0 && -grown > allowed) change.verdict = Verdict::kBetter;
  return change;
}

std::string LoadName(const nlohmann::json& level) {
  return absl::StrCat(level.at("mode").get<std::string>(), " ", level.at("amount").get<double>());
}

std::vector<nlohmann::json> LevelsOf(const nlohmann::json& report) {
  if (report.contains("levels")) return report.at("levels").get<std::vector<nlohmann::json>>();
  return {report};
}

// Throws what nlohmann throws.
absl::StatusOr<std::vector<Change>> CompareReports(const nlohmann::json& base,
                                                   const nlohmann::json& next, double tolerance) {
  if (base.at("service") != next.at("service")) {
    return absl::InvalidArgumentError("one report is of speech, the other of worlds");
  }
  std::vector<Change> changes;
  for (const nlohmann::json& before : LevelsOf(base)) {
    for (const nlohmann::json& after : LevelsOf(next)) {
      if (LoadName(before) != LoadName(after)) continue;
      for (const auto& [level, which] : {std::pair(&before, "base"), {&after, "new"}}) {
        if (!level->at("valid").get<bool>()) {
          return absl::InvalidArgumentError(absl::StrCat("the ", which, " run of ",
                                                         LoadName(before),
                                                         " is INVALID: there is no comparing it"));
        }
      }
      for (const Figure& figure : kFigures) {
        auto change = CompareFigure(figure, before, after, tolerance);
        if (!change) continue;
        change->load = LoadName(before);
        changes.push_back(*std::move(change));
      }
    }
  }
  if (changes.empty()) {
    return absl::InvalidArgumentError("the two reports have no load with enough samples in common");
  }
  return changes;
}

std::string Show(const std::string& figure, double value, bool sign) {
  const bool ratio = absl::StartsWith(figure, "RTF") || absl::StrContains(figure, "share") ||
                     absl::StrContains(figure, "underruns");
  const double shown = ratio ? value : value * 1000;
  return sign ? absl::StrFormat("%+.4g", shown) : absl::StrFormat("%.4g", shown);
}

}  // namespace

absl::StatusOr<nlohmann::json> ReadReport(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::InvalidArgumentError(absl::StrCat("cannot read ", path));
  nlohmann::json report = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (report.is_discarded() || !report.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not JSON: cut off or damaged"));
  }
  const nlohmann::json schema = report.value("schema", nlohmann::json());
  if (!schema.is_number_integer() || schema != kReportSchema) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is no report of this loadgen (schema ",
                                                   kReportSchema, "): its schema is ",
                                                   schema.dump()));
  }
  return report;
}

absl::StatusOr<std::vector<Change>> Compare(const nlohmann::json& base, const nlohmann::json& next,
                                            double tolerance) {
  try {
    return CompareReports(base, next, tolerance);
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("a report is damaged: ", error.what()));
  }
}

std::string CompareTable(const std::vector<Change>& changes) {
  std::vector<std::vector<std::string>> rows = {
      {"load", "figure (ms or ratio)", "base", "new", "difference", "95 % interval", ""}};
  for (const Change& change : changes) {
    const auto show = [&](double value, bool sign) { return Show(change.figure, value, sign); };
    rows.push_back({change.load, change.figure, show(change.base, false), show(change.next, false),
                    show(change.next - change.base, true),
                    absl::StrCat(show(change.low, true), " to ", show(change.high, true)),
                    change.verdict == Verdict::kWorse    ? "WORSE"
                    : change.verdict == Verdict::kBetter ? "better"
                                                         : ""});
  }
  return Table(rows);
}

}  // namespace firstbyte

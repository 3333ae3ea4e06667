#include "client/loadgen/levels.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/loadgen/validity.h"
#include "client/table.h"

namespace firstbyte {
namespace {

double Power(const Tally& tally) {
  const Samples& latency = tally.action_to_frame.size() > 0 ? tally.action_to_frame : tally.ttfb;
  if (latency.mean() <= 0 || !WhyInvalid(tally).empty()) return 0;
  return tally.PerSecond(static_cast<double>(tally.good)) / latency.mean();
}

std::string Ms(const Samples& samples, double p) {
  auto value = samples.Percentile(p);
  return value ? absl::StrFormat("%.2f", *value * 1000) : "n/a";
}

std::vector<std::string> Row(const LevelResult& level, bool is_knee, bool worlds) {
  const Tally& tally = level.tally;
  std::vector<std::string> remarks;
  if (is_knee) remarks.push_back("<- knee");
  if (!WhyInvalid(tally).empty()) remarks.push_back("INVALID");
  if (!level.broken.empty()) remarks.push_back(absl::StrCat("over: ", level.broken[0]));
  std::string remark;
  for (const std::string& one : remarks) absl::StrAppend(&remark, remark.empty() ? "" : ", ", one);
  const Samples& second = worlds ? tally.action_to_frame : tally.ttfa;
  return {Describe(level.options.level),
          tally.ttfb.size() > 0 ? absl::StrFormat("%.2f", tally.ttfb.mean() * 1000) : "n/a",
          Ms(tally.ttfb, 0.5),
          Ms(tally.ttfb, 0.95),
          Ms(tally.ttfb, 0.99),
          Ms(second, 0.5),
          Ms(second, 0.95),
          absl::StrFormat("%.2f", tally.PerSecond(static_cast<double>(tally.good))),
          worlds ? absl::StrFormat("%.1f", tally.frames_per_second())
                 : absl::StrFormat("%.1f", tally.audio_seconds_per_second()),
          absl::StrCat(tally.underruns),
          absl::StrCat(tally.rejected),
          absl::StrCat(tally.failed()),
          absl::StrCat(tally.calls),
          remark};
}

}  // namespace

std::optional<size_t> Knee(const std::vector<LevelResult>& levels) {
  if (levels.size() < 3) return std::nullopt;
  auto best = std::max_element(levels.begin(), levels.end(), [](const auto& a, const auto& b) {
    return Power(a.tally) < Power(b.tally);
  });
  if (Power(best->tally) <= 0) return std::nullopt;
  return best - levels.begin();
}

std::string LevelTable(const std::vector<LevelResult>& levels) {
  const bool worlds = std::any_of(levels.begin(), levels.end(),
                                  [](const auto& level) { return level.tally.blocks > 0; });
  const std::string second = worlds ? "A2F" : "TTFA";
  std::vector<std::vector<std::string>> rows = {
      {"load", "TTFB mean ms", "p50", "p95", "p99", absl::StrCat(second, " p50"),
       absl::StrCat(second, " p95"), "good/s", worlds ? "frames/s" : "audio s/s", "underruns",
       "refused", "failed", "calls", ""}};
  const auto knee = Knee(levels);
  for (size_t i = 0; i < levels.size(); ++i) rows.push_back(Row(levels[i], knee == i, worlds));
  return Table(rows);
}

double FindMax(LoadMode mode, double start, double most, const std::function<bool(double)>& kept) {
  const bool whole = mode != LoadMode::kQps;
  auto holds = [&](double amount) { return kept(amount) || kept(amount); };
  double low = 0, high = 0, amount = std::min(start, most);
  while (high == 0 && amount > low) {
    if (holds(amount)) {
      low = amount;
      amount = std::min(2 * amount, most);
    } else {
      high = amount;
    }
  }
  while (high > 0 && high - low > std::max(whole ? 1.0 : start / 4, low / 8)) {
    amount = (low + high) / 2;
    if (whole) amount = std::floor(amount);
    (holds(amount) ? low : high) = amount;
  }
  return low;
}

}  // namespace firstbyte

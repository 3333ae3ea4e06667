#include "client/loadgen/slo.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace firstbyte {
namespace {

const Samples* SamplesNamed(absl::string_view name, const Tally& tally) {
  if (name == "ttfb") return &tally.ttfb;
  if (name == "ttfa") return &tally.ttfa;
  if (name == "rtf") return &tally.stream_rtf;
  if (name == "gap") return &tally.chunk_gap;
  if (name == "action_to_frame") return &tally.action_to_frame;
  if (name == "send_lag") return &tally.send_lag;
  return nullptr;
}

std::optional<double> PercentileNamed(absl::string_view name) {
  if (name == "p50") return 0.5;
  if (name == "p90") return 0.9;
  if (name == "p95") return 0.95;
  if (name == "p99") return 0.99;
  return std::nullopt;
}

// "action_to_frame_p95" -> {"action_to_frame", "p95"}
std::pair<absl::string_view, absl::string_view> Parts(absl::string_view name) {
  const size_t at = name.rfind('_');
  if (at == absl::string_view::npos) return {name, ""};
  return {name.substr(0, at), name.substr(at + 1)};
}

bool Known(absl::string_view name) {
  if (name == "underruns" || name == "errors") return true;
  const auto parts = Parts(name);
  return SamplesNamed(parts.first, Tally{}) != nullptr &&
         (parts.second == "max" || PercentileNamed(parts.second));
}

// nullopt: too few samples to say.
std::optional<double> Value(absl::string_view name, const Tally& tally) {
  if (name == "underruns") return tally.underruns;
  if (name == "errors") return tally.failed();
  const auto parts = Parts(name);
  const Samples& samples = *SamplesNamed(parts.first, tally);
  if (parts.second != "max") return samples.Percentile(*PercentileNamed(parts.second));
  return samples.size() > 0 ? std::optional<double>(samples.max()) : std::nullopt;
}

}  // namespace

absl::StatusOr<std::vector<SloBound>> ParseSlo(absl::string_view text) {
  std::vector<SloBound> bounds;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    std::vector<absl::string_view> sides = absl::StrSplit(part, '=');
    SloBound bound;
    if (sides.size() != 2 || !absl::SimpleAtod(sides[1], &bound.limit)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--slo: '", part, "' is not name=number, such as ttfb_p95=0.015"));
    }
    if (sides[0] == "underrun") sides[0] = "underruns";
    if (sides[0] == "error") sides[0] = "errors";
    if (!Known(sides[0])) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--slo: '", sides[0],
          "' is not underruns, errors, or one of ttfb, ttfa, rtf, gap, action_to_frame, "
          "send_lag with _p50, _p90, _p95, _p99 or _max"));
    }
    bound.name = std::string(sides[0]);
    bounds.push_back(bound);
  }
  if (bounds.empty()) return absl::InvalidArgumentError("--slo names no bound");
  return bounds;
}

std::vector<std::string> BrokenBounds(const std::vector<SloBound>& bounds, const Tally& tally) {
  std::vector<SloBound> all = bounds;
  if (std::none_of(all.begin(), all.end(), [](const auto& b) { return b.name == "errors"; })) {
    all.push_back({"errors", 0});
  }
  std::vector<std::string> broken;
  for (const SloBound& bound : all) {
    std::optional<double> value = Value(bound.name, tally);
    if (!value) {
      broken.push_back(absl::StrCat(bound.name, ": too few samples to say; run longer"));
    } else if (*value > bound.limit) {
      broken.push_back(absl::StrCat(bound.name, " is ", *value, ", over ", bound.limit));
    }
  }
  return broken;
}

int64_t CallsNeeded(const std::vector<SloBound>& bounds) {
  int64_t needed = 0;
  for (const SloBound& bound : bounds) {
    const auto [name, percentile] = Parts(bound.name);
    const bool one_a_call = name == "ttfb" || name == "ttfa" || name == "rtf" || name == "send_lag";
    auto p = PercentileNamed(percentile);
    if (one_a_call && p) {
      needed = std::max(needed, static_cast<int64_t>(std::lround(10 / (1 - *p))));
    }
  }
  return needed;
}

std::optional<double> TtfbTarget(const std::vector<SloBound>& bounds) {
  std::optional<double> target;
  for (const SloBound& bound : bounds) {
    if (Parts(bound.name).first == "ttfb")
      target = std::min(target.value_or(bound.limit), bound.limit);
  }
  return target;
}

}  // namespace firstbyte

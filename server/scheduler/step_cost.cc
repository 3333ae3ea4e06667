#include "server/scheduler/step_cost.h"

#include <algorithm>

namespace firstbyte {
namespace {

constexpr double kKept = 0.99;             // of a step's weight, when the next one comes
constexpr int kOutlier = 4;                // times the prediction
constexpr double kWarmPoints[] = {1, 16};  // batches that warm-up speaks for

}  // namespace

LinearCost FitCost(int n1, absl::Duration cost1, int n2, absl::Duration cost2) {
  if (n1 == n2) return {.per_session = cost1 / n1};
  absl::Duration slope = std::max(absl::ZeroDuration(), (cost2 - cost1) / (n2 - n1));
  return {.fixed = std::max(absl::ZeroDuration(), cost1 - slope * n1), .per_session = slope};
}

void StepCosts::Line::Add(double sessions, double seconds) {
  for (double* sum : {&one, &n, &nn, &cost, &n_cost, &predicted}) *sum *= kKept;
  one += 1;
  n += sessions;
  nn += sessions * sessions;
  cost += seconds;
  n_cost += sessions * seconds;
  predicted += absl::ToDoubleSeconds(warm.Of(static_cast<int>(sessions)));
}

void StepCosts::Line::Fit() {
  const double scale = predicted > 0 ? cost / predicted : 1;
  double s1 = one, sn = n, snn = nn, sc = cost, snc = n_cost;
  for (double at : kWarmPoints) {
    const double seconds = scale * absl::ToDoubleSeconds(warm.Of(static_cast<int>(at)));
    s1 += 1;
    sn += at;
    snn += at * at;
    sc += seconds;
    snc += at * seconds;
  }
  // Weighted least squares; neither part of a cost is negative.
  double b = std::max(0.0, (s1 * snc - sn * sc) / (s1 * snn - sn * sn));
  double a = (sc - b * sn) / s1;
  if (a < 0) a = 0, b = snc / snn;
  now = {.fixed = absl::Seconds(a), .per_session = absl::Seconds(b)};
}

void StepCosts::Set(int model, Stage stage, int frames, LinearCost cost) {
  lines_[{model, stage, frames}] = Line{.warm = cost, .now = cost};
}

void StepCosts::Observe(int model, Stage stage, int frames, int sessions, absl::Duration took) {
  auto [it, unknown] = lines_.try_emplace({model, stage, frames});
  Line& line = it->second;
  if (unknown) line.warm = line.now = FitCost(sessions, took, sessions, took);
  const absl::Duration expected = line.now.Of(sessions);
  if (expected > absl::ZeroDuration()) took = std::min(took, kOutlier * expected);
  line.Add(sessions, absl::ToDoubleSeconds(took));
  line.Fit();
}

absl::Duration StepCosts::Predict(int model, Stage stage, int frames, int sessions) const {
  auto it = lines_.find({model, stage, frames});
  return it == lines_.end() ? absl::ZeroDuration() : it->second.now.Of(sessions);
}

absl::Duration StepCosts::PredictAtWarmUp(int model, Stage stage, int frames, int sessions) const {
  auto it = lines_.find({model, stage, frames});
  return it == lines_.end() ? absl::ZeroDuration() : it->second.warm.Of(sessions);
}

int StepCosts::LargestBatch(int model, Stage stage, int frames, absl::Duration limit,
                            int at_most) const {
  int n = 1;
  while (n < at_most && Predict(model, stage, frames, n + 1) <= limit) ++n;
  return n;
}

}  // namespace firstbyte

#include "server/scheduler/load.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace firstbyte {
namespace {

constexpr absl::Duration kForgetStart = absl::Seconds(1);
constexpr double kKeepOfOldSteps = 63.0 / 64;  // by each new one
constexpr double kMostSlowness = 16;           // one stalled step must not shut the door for long
constexpr double kMostEncoding = 0.5;          // of a core, that steps are known to wait for
constexpr absl::Duration kHalfOfLateness = absl::Milliseconds(250);
constexpr int kStartsOfMean = 8;
constexpr double kMostLate = 16;   // one stalled start must not shut the door
constexpr double kLateCounts = 2;  // times
// Below this load nothing that sessions do makes starts late, and refusing them would not help.
constexpr double kHardlyAnyLoad = 0.25;

// Batches that `sessions` make a period: one as soon as there is a whole session.
double Batches(double sessions, int batch) {
  return std::max(std::min(sessions, 1.0), sessions / batch);
}

}  // namespace

double LoadOf(const SessionCost& cost, double sessions) {
  const absl::Duration time =
      Batches(sessions, cost.batch) * cost.frame.fixed + sessions * cost.frame.per_session;
  return absl::FDivDuration(time, cost.period);
}

absl::Duration StartUpOf(const SessionCost& cost, int sessions) {
  return Batches(sessions, cost.batch) * cost.start_up.fixed + sessions * cost.start_up.per_session;
}

void LaneLoad::ObserveStep(absl::Duration predicted, absl::Duration took) {
  // While encoders have the core, a step waits. They are counted in the load by themselves.
  predicted /= 1 - std::min(encoding_, kMostEncoding);
  predicted_ = predicted_ * kKeepOfOldSteps + predicted;
  took_ = took_ * kKeepOfOldSteps + std::min(took, kMostSlowness * predicted);
}

void LaneLoad::ObserveStart(absl::Duration planned, absl::Duration took, absl::Time now) {
  if (planned <= absl::ZeroDuration()) return;
  const double late = std::clamp(absl::FDivDuration(took, planned) - 1, 0.0, kMostLate);
  late_ = LateAt(now) + (late - LateAt(now)) / kStartsOfMean;
  late_since_ = now;
}

double LaneLoad::LateAt(absl::Time now) const {
  return late_ * std::exp2(-absl::FDivDuration(now - late_since_, kHalfOfLateness));
}

double LaneLoad::Lateness(absl::Time now) const {
  return load() < kHardlyAnyLoad ? 1 : 1 + kLateCounts * LateAt(now);
}

void LaneLoad::ObserveCatchingUp(absl::Span<const int> by_model) {
  for (size_t m = 0; m < models_.size(); ++m) models_[m].catching_up = by_model[m];
}

uint64_t LaneLoad::Add(const SessionLoad& session, absl::Time now) {
  ModelUse& use = models_[session.model];
  use.sessions += 1;
  use.pace += session.pace;
  encoding_ += session.pace * session.encoding;
  starts_[next_start_] = {session.model, now, session.catches_up};
  return next_start_++;
}

void LaneLoad::Remove(const SessionLoad& session, uint64_t start) {
  ModelUse& use = models_[session.model];
  use.sessions -= 1;
  use.pace -= session.pace;
  encoding_ -= session.pace * session.encoding;
  // No sums of rounding errors.
  if (use.sessions == 0) use.pace = 0;
  if (sessions() == 0) encoding_ = 0;
  Started(start);
}

int LaneLoad::sessions() const {
  int sum = 0;
  for (const ModelUse& use : models_) sum += use.sessions;
  return sum;
}

double LaneLoad::Slowness() const {
  if (predicted_ <= absl::ZeroDuration()) return 1;
  return absl::FDivDuration(took_, predicted_);
}

double LaneLoad::LoadWith(const SessionLoad& one_more) const {
  double sum = encoding_ + one_more.pace * one_more.encoding;
  for (int m = 0; m < static_cast<int>(models_.size()); ++m) {
    sum += LoadOf(models_[m].cost, models_[m].pace + (m == one_more.model ? one_more.pace : 0));
  }
  return sum * Slowness();
}

std::vector<int> LaneLoad::CatchingUp() const {
  std::vector<int> sessions;
  for (const ModelUse& use : models_) sessions.push_back(use.catching_up);
  for (const auto& [id, start] : starts_) sessions[start.model] += start.catches_up;
  return sessions;
}

int LaneLoad::catching_up() const {
  const std::vector<int> sessions = CatchingUp();
  return std::accumulate(sessions.begin(), sessions.end(), 0);
}

double LaneLoad::CatchingUpWith(int model) const {
  std::vector<int> sessions = CatchingUp();
  ++sessions[model];
  double sum = 0;
  for (size_t m = 0; m < models_.size(); ++m) sum += LoadOf(models_[m].cost, sessions[m]);
  return sum * Slowness();
}

absl::Duration LaneLoad::PlanTtfb(int model, absl::Duration max_step, absl::Time now) {
  while (!starts_.empty() && now - starts_.begin()->second.since > kForgetStart) {
    starts_.erase(starts_.begin());
  }
  std::vector<int> starting(models_.size());
  starting[model] = 1;
  for (const auto& [id, start] : starts_) ++starting[start.model];
  absl::Duration sum;
  for (size_t m = 0; m < models_.size(); ++m) sum += StartUpOf(models_[m].cost, starting[m]);
  return max_step + sum * Slowness();
}

}  // namespace firstbyte

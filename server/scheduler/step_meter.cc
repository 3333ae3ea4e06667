#include "server/scheduler/step_meter.h"

#include <algorithm>
#include <tuple>

namespace firstbyte {
namespace {

using StageSteps = StepMeter::StageSteps;

void Merge(const StageSteps& some, std::vector<StageSteps>* all) {
  auto same = std::find_if(all->begin(), all->end(), [&](const StageSteps& other) {
    return other.model == some.model && other.stage == some.stage;
  });
  if (same == all->end()) return all->push_back(some);
  same->steps += some.steps;
  same->sessions += some.sessions;
  same->busy += some.busy;
  same->longest = std::max(same->longest, some.longest);
}

}  // namespace

void StepMeter::Add(const LaneStep& step) {
  const int64_t now = absl::ToUnixSeconds(step.end);
  const absl::Duration took = step.end - step.begin;
  MutexLock lock(&mu_);
  Second& second = seconds_[now % kSeconds];
  if (second.second != now) {
    second.second = now;
    second.stages.clear();
  }
  Merge({.model = step.model,
         .stage = step.stage,
         .steps = 1,
         .sessions = static_cast<int64_t>(step.sessions.size()),
         .busy = took,
         .longest = took},
        &second.stages);
  last_step_ = step.end;
}

StepMeter::Reading StepMeter::Read(absl::Time now) const {
  // The second that runs and the nine before it.
  const int64_t first = absl::ToUnixSeconds(now) - kSeconds + 1;
  Reading reading{.window = now - std::max(start_, absl::FromUnixSeconds(first))};
  {
    MutexLock lock(&mu_);
    for (const Second& second : seconds_) {
      if (second.second < first) continue;
      for (const StageSteps& stage : second.stages) Merge(stage, &reading.stages);
    }
    reading.last_step = last_step_;
  }
  std::sort(reading.stages.begin(), reading.stages.end(), [](const auto& a, const auto& b) {
    return std::tie(a.model, a.stage) < std::tie(b.model, b.stage);
  });
  return reading;
}

}  // namespace firstbyte

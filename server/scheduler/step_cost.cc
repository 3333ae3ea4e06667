#include "server/scheduler/step_cost.h"

#include <algorithm>

namespace firstbyte {

LinearCost FitCost(int n1, absl::Duration cost1, int n2, absl::Duration cost2) {
  absl::Duration slope = std::max(absl::ZeroDuration(), (cost2 - cost1) / (n2 - n1));
  return {.fixed = std::max(absl::ZeroDuration(), cost1 - slope * n1), .per_session = slope};
}

void StepCosts::Set(int model, Stage stage, int frames, LinearCost cost) {
  costs_[{model, stage, frames}] = cost;
}

absl::Duration StepCosts::Predict(int model, Stage stage, int frames, int sessions) const {
  auto it = costs_.find({model, stage, frames});
  if (it == costs_.end()) return absl::ZeroDuration();
  return it->second.fixed + it->second.per_session * sessions;
}

int StepCosts::LargestBatch(int model, Stage stage, int frames, absl::Duration limit,
                            int at_most) const {
  int n = 1;
  while (n < at_most && Predict(model, stage, frames, n + 1) <= limit) ++n;
  return n;
}

}  // namespace firstbyte

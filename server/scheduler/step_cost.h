// Predicted cost of a step, fitted at warm-up: cost(model, stage, n) = a + b n.
#pragma once

#include <map>
#include <tuple>

#include "absl/time/time.h"
#include "model/model.h"

namespace firstbyte {

struct LinearCost {
  absl::Duration fixed;        // a
  absl::Duration per_session;  // b, never negative
};

// The line through two measurements, n1 < n2.
LinearCost FitCost(int n1, absl::Duration cost1, int n2, absl::Duration cost2);

class StepCosts {
 public:
  void Set(int model, Stage stage, int frames, LinearCost cost);

  // Zero for what was never measured: an unknown cost limits nothing.
  absl::Duration Predict(int model, Stage stage, int frames, int sessions) const;

  // The largest batch, at least 1, whose predicted cost is within `limit`.
  int LargestBatch(int model, Stage stage, int frames, absl::Duration limit, int at_most) const;

 private:
  std::map<std::tuple<int, Stage, int>, LinearCost> costs_;
};

}  // namespace firstbyte

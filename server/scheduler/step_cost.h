// Predicted cost of a step: cost(model, stage, n) = a + b n, fitted at warm-up and corrected by
// what steps take while the lane runs.
//
// Not thread-safe: a lane has its own.
#pragma once

#include <map>
#include <tuple>

#include "absl/time/time.h"
#include "model/model.h"

namespace firstbyte {

struct LinearCost {
  absl::Duration fixed;        // a
  absl::Duration per_session;  // b, never negative

  absl::Duration Of(int sessions) const { return fixed + per_session * sessions; }
};

// The line through two measurements, n1 <= n2; through one and the origin when they are the same.
LinearCost FitCost(int n1, absl::Duration cost1, int n2, absl::Duration cost2);

class StepCosts {
 public:
  // As warm-up found it; forgets what was observed.
  void Set(int model, Stage stage, int frames, LinearCost cost);

  // A step took so long. The line follows the last hundred steps or so, by least squares; warm-up,
  // scaled to what steps take now, counts as two more, so that batches of one size alone do not
  // leave the slope open. One step counts at most as four times its prediction: the thread may have
  // lost its core.
  void Observe(int model, Stage stage, int frames, int sessions, absl::Duration took);

  // Zero for what was never measured: an unknown cost limits nothing.
  absl::Duration Predict(int model, Stage stage, int frames, int sessions) const;

  // What warm-up alone said.
  absl::Duration PredictAtWarmUp(int model, Stage stage, int frames, int sessions) const;

  // The largest batch, at least 1, whose predicted cost is within `limit`.
  int LargestBatch(int model, Stage stage, int frames, absl::Duration limit, int at_most) const;

 private:
  struct Line {
    LinearCost warm, now;
    // Sums over what was observed, each step counting a little less than the one after it:
    // 1, n, n^2, cost, n cost, and the cost that warm-up predicts. Seconds.
    double one = 0, n = 0, nn = 0, cost = 0, n_cost = 0, predicted = 0;

    void Add(double sessions, double seconds);
    void Fit();
  };

  std::map<std::tuple<int, Stage, int>, Line> lines_;
};

}  // namespace firstbyte

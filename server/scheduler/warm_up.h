// Runs a model before anybody waits for it, and measures what its steps cost.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "model/model.h"
#include "server/scheduler/load.h"
#include "server/scheduler/media_cost.h"
#include "server/scheduler/step_cost.h"

namespace firstbyte {

struct ModelCosts {
  struct Step {
    Stage stage;
    int frames;  // decode only
    LinearCost cost;
  };
  std::vector<Step> steps;
  absl::Duration block;  // worlds: from the actions of a block to its pictures, alone
  SessionCost session;   // for admission
  MediaCosts media;      // the same, by what a stream asks for
};

// Each stage at batch 1 and at the largest batch, so that the first request finds everything warm.
// On any thread, while no lane runs this copy of the model.
// `max_step`: PolicyOptions::max_step.
absl::StatusOr<ModelCosts> WarmUp(Model* model, const Clock& clock, absl::Duration max_step);

}  // namespace firstbyte

// What a lane did in the last seconds, by model and stage: for statistics that a person watches.
//
// Thread-safe: the lane adds, anyone reads; one short lock.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "base/mutex.h"
#include "server/scheduler/lane_events.h"

namespace firstbyte {

class StepMeter {
 public:
  static constexpr int kSeconds = 10;

  struct StageSteps {
    int model = 0;  // LaneStep::model
    Stage stage = Stage::kGenerate;
    int64_t steps = 0;
    int64_t sessions = 0;  // sum over the steps
    absl::Duration busy;   // sum over the steps
    absl::Duration longest;
    double mean_batch() const { return static_cast<double>(sessions) / static_cast<double>(steps); }
    absl::Duration mean_step() const { return busy / steps; }
  };
  struct Reading {
    absl::Duration window;           // that the numbers are of; at most kSeconds
    std::vector<StageSteps> stages;  // those with steps, by model and stage
    std::optional<absl::Time> last_step;
  };

  // `start`: since when steps are added.
  explicit StepMeter(absl::Time start) : start_(start) {}

  void Add(const LaneStep& step);
  Reading Read(absl::Time now) const;

 private:
  struct Second {
    int64_t second = -1;  // of the clock
    std::vector<StageSteps> stages;
  };

  const absl::Time start_;
  mutable Mutex mu_;
  std::array<Second, kSeconds> seconds_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Time> last_step_ ABSL_GUARDED_BY(mu_);
};

}  // namespace firstbyte

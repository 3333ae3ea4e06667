// The steps of a lane that were submitted and not yet waited for, the oldest first.
//
// A device that runs steps by itself works on one of them while the lane publishes what the one
// before it made, chooses the next and fills that. What a step took is counted from when it was
// submitted, or from the end of the one before it where that came later: so no time is counted
// twice, and what steps take in all is the lane's own time.
//
// Lane thread only. Models and sessions live until their steps have been waited for.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "model/model.h"

namespace firstbyte {

class Tracer;

struct StepUnderWay {
  Model* model = nullptr;
  int model_index = 0;  // in the lane
  Stage stage = Stage::kGenerate;
  int frames = 0;                  // decode only
  std::vector<uint64_t> sessions;  // Lane::SessionId, most urgent first
  // Of the iteration that chose it, or when all of the step before it was told: from then on the
  // lane's time was this step's.
  absl::Time round;

  // The rest is filled in by StepsUnderWay.
  int64_t number = 0;  // counted from 1 where steps of the model may overlap, else 0
  std::optional<Ticket> ticket;
  absl::Time begin, end;
  absl::Status status;
  StepReport report;

  bool overlaps() const { return model->info().steps_under_way > 1; }
};

class StepsUnderWay {
 public:
  // Both outlive it; `tracer` may be null.
  StepsUnderWay(const Clock* clock, Tracer* tracer) : clock_(clock), tracer_(tracer) {}

  // `batch`: parallel to step.sessions. At most steps_under_way of its model are under way then.
  const StepUnderWay& Submit(StepUnderWay step, absl::Span<Session* const> batch);
  // For the oldest, which there must be.
  StepUnderWay Wait();
  // Waits for all, whatever they say.
  void Drop();

  bool empty() const { return steps_.empty(); }
  int size() const { return static_cast<int>(steps_.size()); }
  StepUnderWay& oldest() { return steps_.front(); }

 private:
  void Trace(const StepUnderWay& step) const;

  const Clock* const clock_;
  Tracer* const tracer_;
  std::deque<StepUnderWay> steps_;
  int64_t last_number_ = 0;
};

}  // namespace firstbyte

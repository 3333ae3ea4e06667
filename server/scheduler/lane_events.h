// What a lane tells those who watch it: metrics, statistics, traces, the flight recorder.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "model/model.h"

namespace firstbyte {

// One step that was run.
struct LaneStep {
  int lane = 0;   // index in the engine
  int model = 0;  // index in the lane
  const ModelInfo& info;
  Stage stage = Stage::kGenerate;
  int frames = 0;                       // decode only
  absl::Span<const uint64_t> sessions;  // Lane::SessionId, most urgent first
  // The lane's clock. A step begins when it is submitted or, where the one before it is still under
  // way then, at the end of that.
  absl::Time begin, end;
  int64_t number = 0;  // counted from 1 where steps of the model may overlap, else 0
};

// What goes into sessions and what comes out. Called on the lane's thread only, in the order in
// which it happens; must not block.
class LaneWatcher {
 public:
  virtual ~LaneWatcher() = default;
  // The session is open on model `model` of the lane.
  // `said`: what spec.scene was prepared from, if anyone keeps it.
  virtual void OnOpen(uint64_t session, int model, const SessionSpec& spec,
                      const RawInput* said) = 0;
  // Before Session::Push(). `said`: what a Prepared was prepared from, if anyone keeps it.
  virtual void OnPush(uint64_t session, const Input& input, const RawInput* said) = 0;
  // The step, which has a number, is under way; OnStep() comes when it was waited for, in the order
  // of submission. A step without number is submitted and waited for at once.
  virtual void OnSubmit(const LaneStep& step) = 0;
  // `status`: not OK, nobody advanced.
  virtual void OnStep(const LaneStep& step, const absl::Status& status) = 0;
  // All that the last step made has been told.
  virtual void OnStepTold() = 0;
  // What Session::Take() returned, if it holds media.
  virtual void OnMedia(uint64_t session, const Output& output) = 0;
  virtual void OnEnd(uint64_t session, const absl::Status& status) = 0;
};

}  // namespace firstbyte

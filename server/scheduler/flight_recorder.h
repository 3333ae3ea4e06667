// Keeps the last things that a lane did and was given, so that what went wrong can be looked at and
// run again (replay.h).
//
// What is kept: sessions with seed and voice, steps, and a digest of the media of each session;
// never media. Text, prompts, actions and saved states are kept only with Options::inputs; without
// them a log can be read but not replayed. It stays in memory until somebody takes it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "server/scheduler/flight_log.h"
#include "server/scheduler/lane_events.h"
#include "server/scheduler/media_digest.h"

namespace firstbyte {

struct FlightOptions {
  int64_t max_bytes = 4 << 20;  // about, for each lane; the oldest make room. 0: nothing is kept
  bool inputs = false;
};

// Of one lane, which alone calls the LaneWatcher side. Take() from any thread; one short lock.
class FlightRecorder : public LaneWatcher {
 public:
  // `models`: of the lane, by index; copied from.
  FlightRecorder(int lane, const std::vector<const ModelInfo*>& models, FlightOptions options,
                 const Clock* clock);

  // All that is kept. Waits until what the last step made is in the digests; costs the lane about
  // a tenth of a millisecond.
  FlightLog Take() const;

  void OnOpen(uint64_t session, int model, const SessionSpec& spec, const RawInput* said) override;
  void OnPush(uint64_t session, const Input& input, const RawInput* said) override;
  void OnSubmit(const LaneStep& step) override;
  void OnStep(const LaneStep& step, const absl::Status& status) override;
  void OnStepTold() override;
  void OnMedia(uint64_t session, const Output& output) override;
  void OnEnd(uint64_t session, const absl::Status& status) override;

 private:
  struct Kept {
    std::shared_ptr<const FlightEvent> event;
    int64_t bytes;
  };

  void Keep(decltype(FlightEvent::what) what, int64_t payload_bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  FlightEnded EndOf(uint64_t session) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const FlightOptions options_;
  const Clock* const clock_;
  const absl::Time start_;

  mutable Mutex mu_;
  mutable CondVar told_;
  bool in_step_ ABSL_GUARDED_BY(mu_) = false;  // its media are not in the digests yet
  FlightLog header_ ABSL_GUARDED_BY(mu_);      // without events
  std::deque<Kept> events_ ABSL_GUARDED_BY(mu_);
  int64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<uint64_t, MediaDigest> open_ ABSL_GUARDED_BY(mu_);
};

}  // namespace firstbyte

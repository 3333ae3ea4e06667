// The admission ledger: who may hold a slot, decided in the reaction before any work is done.
//
// Thread-safe; one short lock. Admitted means that a slot on a lane is held until the Seat is
// destroyed; only the lane destroys it, after the session's own slot is free. There is no waiting
// room: a refusal says when capacity is expected back. Those who are refused one after another are
// told different times, because gRPC's retries keep to them exactly.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "server/scheduler/load.h"

namespace firstbyte {

class AdmissionLedger;

// kUnavailable: what Admit() says while draining.
absl::Status DrainingError();

struct AdmissionLimits {
  // Share of a lane's time that admitted sessions may need to keep their pace; the rest is the
  // reserve for those that start: prefill and small first chunks. 0: not tested.
  double max_load = 0.75;
  // Share of a lane's time that the pace of voices may need while they catch up: while they start,
  // and until they are far enough ahead for the largest chunks, which cost least. A handful may
  // always do so together. 0: not tested.
  double max_catching_up = 0.1;
  // A voice that would be heard later than this is refused. 0: not tested.
  absl::Duration max_ttfb = absl::Milliseconds(50);
  // The step that is under way when a newcomer comes: PolicyOptions::max_step.
  absl::Duration max_step = absl::Milliseconds(8);
  int max_streams_per_tenant = 0;  // 0: no limit
  int64_t max_bytes = 0;           // of all admitted sessions together; 0: no limit
  const Clock* clock = &Clock::Steady();
};

// The pace of LOCKSTEP and FREE_RUN worlds, which promise none and take what is left. A quarter is
// the least at which such a player still plays. Were it nothing, any number of them could come in,
// each with a block under way at any moment, and a voice may have to wait for all of these.
inline constexpr double kUnpaced = 0.25;

struct AdmissionRequest {
  int model = 0;
  double pace = 1;      // times the model's own: a world at half its frames a second has 0.5
  double encoding = 0;  // share of a core that the encoders of its media take: MediaCosts
  bool promises_first_byte = false;                     // voices: max_ttfb counts
  absl::Duration time_left = absl::InfiniteDuration();  // until the caller's deadline
  std::string tenant;
  int64_t bytes = 0;  // most that the stream holds in host memory
};

// A place for one session of one model on one lane. Movable; gives the place back when destroyed.
class Seat {
 public:
  Seat() = default;
  Seat(Seat&& other) noexcept { *this = std::move(other); }
  Seat& operator=(Seat&& other) noexcept;
  ~Seat() { Release(); }

  int model() const { return request_.model; }
  int lane() const { return lane_; }
  const std::string& tenant() const { return request_.tenant; }
  // What admission counted until its first byte, by cost: what ObserveStart() wants to hear again.
  absl::Duration planned_ttfb() const { return planned_ttfb_; }
  // The session's first media is there: it no longer delays others that start. Cheap to repeat.
  void Started();

 private:
  friend class AdmissionLedger;
  void Release();

  AdmissionLedger* ledger_ = nullptr;  // outlives every seat
  AdmissionRequest request_;
  int lane_ = 0;
  absl::Time since_;
  absl::Duration planned_ttfb_;
  uint64_t start_ = 0;  // LaneLoad's name for it
  bool started_ = false;
};

class AdmissionLedger {
 public:
  // slots[model][lane]: sessions that can be open at once. They cost nothing until SetCost().
  explicit AdmissionLedger(std::vector<std::vector<int>> slots, AdmissionLimits limits = {});

  void SetCost(int model, int lane, const SessionCost& cost);
  // As LaneLoad's. Of a start: from the text (or admission, if that is later) to the first byte.
  void ObserveStep(int lane, absl::Duration predicted, absl::Duration took);
  void ObserveStart(int lane, absl::Duration planned, absl::Duration took);
  void ObserveCatchingUp(int lane, absl::Span<const int> by_model);

  // A seat on the least loaded lane. Tests in this order: kUnavailable DRAINING, MODEL_UNLOADING;
  // and, as kResourceExhausted: TENANT_QUOTA, OVERLOAD (sustained load; voices that catch up),
  // TTFB_TARGET and DEADLINE_TOO_SHORT (predicted), NO_SLOT, NO_MEMORY; each with a retry delay.
  // Load never refuses the only session of a lane, nor cost the only one that starts: waiting would
  // change nothing.
  absl::StatusOr<Seat> Admit(const AdmissionRequest& request);

  void StartDraining();
  bool draining() const;

  // Admits nobody to `model` any more, and calls `idle`, once and perhaps before this returns, when
  // none of its seats is held. `idle` must not block nor ask the ledger.
  void Close(int model, std::function<void()> idle);
  // Takes that back. False: `idle` has been called, and all is as it was.
  bool CancelClose(int model);
  void Open(int model);  // after `idle`

  struct Usage {
    int used = 0;
    int total = 0;
  };
  Usage usage(int model) const;
  Usage usage(int model, int lane) const;
  double load(int lane) const;  // share of its time that its sessions need

 private:
  friend class Seat;

  absl::Status TestLoad(const AdmissionRequest& request, int lane, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status TestStart(const AdmissionRequest& request, int lane, absl::Duration planned,
                         absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status TestRoom(const AdmissionRequest& request, int lane, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether a voice would be one too many of those that catch up.
  bool TooManyCatchUp(const AdmissionRequest& request, int lane) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  int LeastLoaded(const AdmissionRequest& request) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Duration NextSeatBack(int model, int lane, int held, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  int Held(int model) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::function<void()> TakeIdle(int model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void GiveBack(const Seat& seat);
  void Started(const Seat& seat);

  const std::vector<std::vector<int>> slots_;
  const AdmissionLimits limits_;
  mutable Mutex mu_;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  struct Closing {
    bool closed = false;
    std::function<void()> idle;  // not called yet
  };
  std::vector<Closing> closing_ ABSL_GUARDED_BY(mu_);  // by model
  std::vector<LaneLoad> lanes_ ABSL_GUARDED_BY(mu_);
  // Until then, what comes back on the lane is promised to those who were refused.
  std::vector<absl::Time> promised_seats_ ABSL_GUARDED_BY(mu_), promised_starts_
      ABSL_GUARDED_BY(mu_);
  std::vector<absl::Duration> mean_hold_ ABSL_GUARDED_BY(mu_);  // of a seat, by model
  std::map<std::string, int> tenants_ ABSL_GUARDED_BY(mu_);     // sessions
  int64_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace firstbyte

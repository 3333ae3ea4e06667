// The admission ledger: who may hold a slot, decided in the reaction before any work is done.
//
// Thread-safe; one short lock. Admitted means that a slot on a lane is held until the Seat is
// destroyed; only the lane destroys it, after the session's own slot is free. There is no waiting
// room: a refusal says when to try again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"

namespace firstbyte {

class AdmissionLedger;

// kUnavailable: what Admit() says while draining.
absl::Status DrainingError();

// A place for one session of one model on one lane. Movable; gives the place back when destroyed.
class Seat {
 public:
  Seat() = default;
  Seat(Seat&& other) noexcept { *this = std::move(other); }
  Seat& operator=(Seat&& other) noexcept;
  ~Seat() { Release(); }

  int model() const { return model_; }
  int lane() const { return lane_; }

 private:
  friend class AdmissionLedger;
  Seat(AdmissionLedger* ledger, int model, int lane)
      : ledger_(ledger), model_(model), lane_(lane) {}
  void Release();

  AdmissionLedger* ledger_ = nullptr;  // outlives every seat
  int model_ = 0;
  int lane_ = 0;
};

class AdmissionLedger {
 public:
  // slots[model][lane]: sessions that can be open at once.
  explicit AdmissionLedger(std::vector<std::vector<int>> slots);

  // A seat on the least loaded lane, or kResourceExhausted (all taken) or kUnavailable (draining),
  // both with a retry delay.
  absl::StatusOr<Seat> Admit(int model);

  void StartDraining();
  bool draining() const;

  struct Usage {
    int used = 0;
    int total = 0;
  };
  Usage usage(int model) const;

 private:
  friend class Seat;
  void GiveBack(int model, int lane);

  mutable Mutex mu_;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  const std::vector<std::vector<int>> slots_;
  std::vector<std::vector<int>> used_ ABSL_GUARDED_BY(mu_);
};

}  // namespace firstbyte

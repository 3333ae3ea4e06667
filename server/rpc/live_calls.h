// Counts the calls that still exist, so that a server can wait for the last one before it takes
// away what they use.
#pragma once

#include <chrono>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace firstbyte {

// Thread-safe. Outlives every Ticket.
class LiveCalls {
 public:
  // Held by a call for as long as it exists.
  class Ticket {
   public:
    explicit Ticket(LiveCalls* calls) : calls_(calls) { calls_->Add(1); }
    ~Ticket() { calls_->Add(-1); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;

   private:
    LiveCalls* const calls_;
  };

  int count() const {
    MutexLock lock(&mu_);
    return count_;
  }
  // Returns when no call exists. New ones must have become impossible, or it may never.
  void WaitUntilNone() {
    MutexLock lock(&mu_);
    while (count_ > 0) none_.Wait(&mu_);
  }
  // The same, but not beyond `deadline` of Clock::Steady(). False: some still exist.
  bool WaitUntilNone(absl::Time deadline) {
    MutexLock lock(&mu_);
    for (absl::Time now; count_ > 0 && (now = Clock::Steady().Now()) < deadline;) {
      none_.WaitFor(&mu_,
                    absl::ToChronoMilliseconds(deadline - now) + std::chrono::milliseconds(1));
    }
    return count_ == 0;
  }

 private:
  void Add(int n) {
    MutexLock lock(&mu_);
    count_ += n;
    if (count_ == 0) none_.NotifyAll();
  }

  mutable Mutex mu_;
  CondVar none_;
  int count_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace firstbyte

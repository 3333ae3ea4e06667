// A clock that a scripted server moves, and that tells the server when the client has looked.
#pragma once

#include "base/clock.h"
#include "base/mutex.h"

namespace firstbyte {

// Thread-safe.
class SteppedClock : public FakeClock {
 public:
  absl::Time Now() const override {
    MutexLock lock(&mu_);
    ++readings_;
    changed_.NotifyAll();
    return FakeClock::Now();
  }
  int readings() const {
    MutexLock lock(&mu_);
    return readings_;
  }
  void WaitForReadings(int count) const {
    MutexLock lock(&mu_);
    while (readings_ < count) changed_.Wait(&mu_);
  }

 private:
  mutable Mutex mu_;
  mutable CondVar changed_;
  mutable int readings_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace firstbyte

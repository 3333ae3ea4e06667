#include "base/clock.h"

#include <chrono>

namespace firstbyte {
namespace {

class SteadyClock : public Clock {
 public:
  absl::Time Now() const override {
    // steady_clock, not absl::Now(): a stepped wall clock must not make a stream late.
    auto since = std::chrono::steady_clock::now().time_since_epoch();
    return absl::UnixEpoch() + absl::FromChrono(since);
  }
};

}  // namespace

const Clock& Clock::Steady() {
  static const Clock* const clock = new SteadyClock;  // a lane may outlive static objects
  return *clock;
}

}  // namespace firstbyte

// Time as a dependency, so that scheduling can be tested without waiting.
#pragma once

#include <atomic>

#include "absl/time/time.h"

namespace firstbyte {

// Thread-safe. Now() never goes back; its origin means nothing.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;

  // The process's monotonic clock; lives for ever.
  static const Clock& Steady();
};

// Stands still until told to move.
class FakeClock : public Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixNanos(nanos_.load()); }
  void Advance(absl::Duration d) { nanos_ += absl::ToInt64Nanoseconds(d); }

 private:
  std::atomic<int64_t> nanos_{1'000'000'000};
};

}  // namespace firstbyte

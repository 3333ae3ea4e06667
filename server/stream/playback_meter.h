// What a listener hears, estimated from what was sent: play starts at the first write done, stops
// while nothing is left, and never makes up for a stop.
//
// Not thread-safe.
#pragma once

#include <optional>

#include "absl/time/time.h"

namespace firstbyte {

class PlaybackMeter {
 public:
  // `media` was written to the transport at `now`.
  void OnWritten(absl::Duration media, absl::Time now);

  absl::Duration written() const { return written_; }
  absl::Duration Played(absl::Time now) const;
  absl::Duration Lead(absl::Time now) const { return written_ - Played(now); }

  // Since when the listener has had nothing to play; nullopt before the start and while playing.
  std::optional<absl::Time> DrySince(absl::Time now) const;

 private:
  bool started_ = false;
  absl::Time base_time_;        // when playing last started, and
  absl::Duration base_played_;  // what had been played by then
  absl::Duration written_;
};

}  // namespace firstbyte

#include "server/stream/playback_meter.h"

#include <algorithm>

namespace firstbyte {

void PlaybackMeter::OnWritten(absl::Duration media, absl::Time now) {
  if (!started_ || DrySince(now)) {
    started_ = true;
    base_time_ = now;
    base_played_ = written_;
  }
  written_ += media;
}

absl::Duration PlaybackMeter::Played(absl::Time now) const {
  if (!started_) return absl::ZeroDuration();
  return std::min(written_, base_played_ + (now - base_time_));
}

std::optional<absl::Time> PlaybackMeter::DrySince(absl::Time now) const {
  if (!started_) return std::nullopt;
  absl::Time dry = base_time_ + (written_ - base_played_);
  return dry < now ? std::optional(dry) : std::nullopt;
}

}  // namespace firstbyte

// When the blocks of a world may begin and when they are due. Pure: told the time, never asks.
//
// REALTIME: one block is due each period. A block begins just in time, its period's end less what
// 95 of 100 recent blocks took and a small reserve, so that the newest actions shape it; but never
// before the block before it was due. LOCKSTEP and FREE_RUN blocks may begin at once.
//
// Not thread-safe.
#pragma once

#include <vector>

#include "absl/time/time.h"
#include "server/stream/world_messages.h"

namespace firstbyte {

class WorldPacer {
 public:
  WorldPacer(Pacing pacing, absl::Duration period) : pacing_(pacing), period_(period) {}

  // When the next block may begin.
  absl::Time start() const;

  // The next block could not begin for want of actions, credit or room: time that passes now is
  // the player's, not lateness.
  void Starve() { starved_ = true; }

  struct Begun {
    absl::Time due;   // when the player would notice
    int skipped = 0;  // blocks that were due before this one could begin
  };
  Begun Begin(absl::Time now);

  // A block was ready to send `took` after it began.
  void Finished(absl::Duration took);

  // When the next block is due, had it begun now; for the work between two blocks.
  absl::Time NextDue(absl::Time now) const;

 private:
  absl::Duration Margin() const;

  const Pacing pacing_;
  const absl::Duration period_;
  bool started_ = false;
  bool starved_ = false;
  absl::Time last_due_ = absl::InfinitePast();
  std::vector<absl::Duration> recent_;  // a ring
  size_t oldest_ = 0;
};

}  // namespace firstbyte

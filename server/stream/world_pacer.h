// When the blocks of a world may begin and when they are due. Pure: told the time, never asks.
//
// REALTIME: one block is due each period. A block begins just in time, so that the newest actions
// shape it: its period's end less what the slowest of recent blocks took and a reserve. By a
// percentile instead, as many blocks as lie above it would miss their time. A block never begins
// before the one before it was due. The first blocks begin as early as that, until enough is known;
// but the first is due as soon after its begin as later ones will be, so that the player, whose
// clock it starts, is not left waiting when blocks begin just in time. LOCKSTEP and FREE_RUN blocks
// may begin at once.
//
// Not thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "server/stream/world_messages.h"

namespace firstbyte {

class WorldPacer {
 public:
  // `block_cost`: what a block takes on a lane that does nothing else.
  WorldPacer(Pacing pacing, absl::Duration period, absl::Duration block_cost)
      : pacing_(pacing), period_(period), margin_(Margin(block_cost)) {}

  // When the next block may begin.
  absl::Time start() const;

  // The next block could not begin for want of actions, credit or room: time that passes now is
  // the player's, not lateness.
  void Starve() { starved_ = true; }

  struct Begun {
    absl::Time at;
    absl::Time due;         // when it should be ready
    int skipped = 0;        // blocks that were due before this one could begin
    bool restarts = false;  // the first, or the first after time that was the player's
  };
  Begun Begin(absl::Time now);

  // The block was ready to send at `now`. Returns whether that is late: after its time for a player
  // who shows a block one period after it could have been there at the earliest. Such a player's
  // clock starts with the first block, and anew with one that is late, so that each delay is
  // counted once. Never so in LOCKSTEP and FREE_RUN.
  bool Finished(const Begun& begun, absl::Time now);

  // When the next block is due, had it begun now; for the work between two blocks.
  absl::Time NextDue(absl::Time now) const;

 private:
  void Learn(absl::Duration took);
  bool knows_enough() const;
  absl::Duration Margin(absl::Duration longest) const;

  const Pacing pacing_;
  const absl::Duration period_;
  bool started_ = false;
  bool starved_ = false;
  absl::Time last_due_ = absl::InfinitePast();
  std::optional<absl::Time> shown_;     // when the player shows the next block
  std::vector<absl::Duration> recent_;  // what blocks took, a ring
  size_t oldest_ = 0;
  absl::Duration margin_;  // how long before it is due a block begins
};

}  // namespace firstbyte

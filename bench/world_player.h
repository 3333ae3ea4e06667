// One player of the world benchmarks: opens a session, acts, and notes when what came.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "client/world_client.h"

namespace firstbyte {

// What a player has seen so far. Milliseconds.
struct PlayerNotes {
  std::vector<double> action_to_frame_ms;  // to the first block that shows it
  std::vector<double> interval_ms;         // between the arrivals of two blocks
  std::vector<double> block_ms;            // the server's own: from its start until it was coded
  int64_t blocks = 0, frames = 0;
  // Blocks that came too late for a player who shows each one period after it could have been there
  // at the earliest; a late one moves that player's clock, so that it is counted once.
  int64_t late = 0;
  int64_t skipped = 0;  // blocks that the server left out to catch up
  int64_t snapshots = 0;
  std::vector<double> prompt_blocks;  // blocks from a prompt until one that it shapes
  absl::Time first, last;             // arrivals
};

// Act() and the like on one thread; a thread of its own reads.
class WorldPlayer {
 public:
  // Opens a session; kUnavailable and the like when the server refuses.
  static absl::StatusOr<std::unique_ptr<WorldPlayer>> Open(WorldClient* client,
                                                           const v1::OpenWorld& open);
  ~WorldPlayer();  // cancels

  // Holds one of the world's keys, or none, as `random` has it.
  void Act(std::mt19937* random);
  void Prompt(const std::string& text);
  void Snapshot();

  // Waits until a block shows the newest action but `behind`. False: the stream is over.
  bool WaitForAction(int64_t behind = 0);
  // Ends the session, waits for its summary, and returns how the stream ended.
  absl::Status Close();

  PlayerNotes notes() const;

 private:
  WorldPlayer(std::unique_ptr<WorldStream> stream, const v1::WorldOpened& opened, bool lockstep);
  void Read();
  void Note(const v1::StepWorldResponse& response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::unique_ptr<WorldStream> stream_;
  const v1::WorldOpened opened_;
  const bool lockstep_;
  int64_t sequence_ = 0;

  mutable Mutex mu_;
  CondVar changed_;
  PlayerNotes notes_ ABSL_GUARDED_BY(mu_);
  std::map<int64_t, absl::Time> sent_ ABSL_GUARDED_BY(mu_);
  int64_t applied_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t next_block_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Time due_ ABSL_GUARDED_BY(mu_);  // of the next block
  int64_t prompted_at_ ABSL_GUARDED_BY(mu_) = -1;
  bool over_ ABSL_GUARDED_BY(mu_) = false;
  std::thread reader_;
};

}  // namespace firstbyte

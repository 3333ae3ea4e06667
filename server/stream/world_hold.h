// A world session seen from outside the store that keeps it: the stream that holds it, its hold,
// and what a list says of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"

namespace firstbyte {

// The stream that holds a session. Called on any thread, without the store's lock; must not block.
class WorldHolder {
 public:
  virtual ~WorldHolder() = default;
  // Somebody resumed the session with a valid token: park it at the next block boundary and end
  // with kAborted SESSION_TAKEN_OVER.
  virtual void TakenOver() = 0;
  // Somebody deleted the session: drop the hold, end with kAborted SESSION_DELETED.
  virtual void Deleted() = 0;
  // The server goes away. `remaining`: tell the player. Zero: park and end with DRAINED now.
  virtual void Draining(absl::Duration remaining) = 0;
};

enum class WorldSessionState { kRunning, kPaused, kParked };

struct WorldSessionInfo {
  std::string session_id, model;
  WorldSessionState state = WorldSessionState::kRunning;
  int64_t next_block = 0;
  int64_t state_bytes = 0;
  absl::Time open_time;                             // wall clock
  absl::Time expire_time = absl::InfiniteFuture();  // wall clock; parked ones
};

class WorldStore;
struct WorldEntry;  // a session, inside the store

// A stream's hold on its session. Movable; dropping it ends the session.
class WorldHold {
 public:
  WorldHold() = default;
  WorldHold(WorldHold&&) noexcept = default;
  WorldHold& operator=(WorldHold&& other) noexcept;
  ~WorldHold();

  explicit operator bool() const { return entry_ != nullptr; }
  const std::string& session_id() const;
  std::string token() const;

  // The client has the token: call on its first message after `opened`. Cheap to repeat.
  void Confirm();
  // For lists; cheap, once a block.
  void Update(bool paused, int64_t next_block);

 private:
  friend class WorldStore;
  friend class WorldSessions;
  WorldHold(WorldStore* store, std::shared_ptr<WorldEntry> entry)
      : store_(store), entry_(std::move(entry)) {}

  WorldStore* store_ = nullptr;
  std::shared_ptr<WorldEntry> entry_;
};

}  // namespace firstbyte

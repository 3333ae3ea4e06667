// Which world sessions exist, who holds them, and what waits: parked sessions and snapshots.
//
//   Register --> running <-> paused --Park--> parked --Claim--> running, in another stream
//                   `--hold dropped--> gone     `--park_timeout, room--> gone
//
// A session belongs to a tenant; to anyone else it does not exist (kNotFound). A token names
// session, tenant and generation under an HMAC, so a replica that shares secret and directory can
// check it. Each claim makes the next generation. The claimant's new token supersedes the old ones
// as soon as the claimant has shown that it got it (Confirm); until then a session that falls back
// into parking can be claimed with the token before, so a lost reply locks nobody out. While a
// stream holds the session only the newest token takes it over: of two racing claims one wins.
//
// With a directory, parked sessions are files there: whoever renames one away has claimed it.
//
// Bounds: parked sessions by bytes and number, snapshots by bytes. Over them the oldest of the
// tenant that holds the most is dropped; snapshots in a directory are never dropped but refused.
//
// Thread-safe. Disk and hashing happen on the store's own thread, which runs every `Done`, in the
// order of the calls; a Done must not block. Outlives every hold.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "server/stream/saved_world.h"
#include "server/stream/world_hold.h"

namespace firstbyte {

struct WorldStoreOptions {
  std::string token_secret;  // empty: a random one, so tokens end with the process
  std::string snapshot_dir;  // empty: snapshots and parked sessions are in memory only
  absl::Duration park_timeout = absl::Minutes(10);
  int64_t max_parked_bytes = int64_t{256} << 20;
  int max_parked_sessions = 1024;
  int64_t max_snapshot_bytes = int64_t{256} << 20;
  const Clock* clock = &Clock::Steady();
};

struct SnapshotInfo {
  std::string id;
  int64_t block = 0;  // SavedWorld::next_block
  int64_t bytes = 0;  // of its container
  std::string sha256;
};

class WorldStore {
 public:
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;

  // kFailedPrecondition, kPermissionDenied...: the directory cannot be used.
  static absl::StatusOr<std::unique_ptr<WorldStore>> Create(const WorldStoreOptions& options);
  ~WorldStore();  // what was asked for is done first; holds no longer exist

  // ---- Sessions, for streams. `holder` may be asked things until the hold is gone. ----

  WorldHold Register(const std::string& tenant, const ModelInfo& info,
                     std::weak_ptr<WorldHolder> holder);

  // Sets the session aside. `parked` says when others can claim it (so end the stream then), or
  // why it could not be kept: kResourceExhausted when it is larger than all room.
  void Park(WorldHold hold, SavedWorld world, std::function<void(absl::Status)> parked);

  struct Claim {
    std::string tenant, session_id, token;
    std::weak_ptr<WorldHolder> holder;  // of the newcomer
  };
  struct Claimed {
    WorldHold hold;
    SavedWorld world;
  };
  // Takes a parked session, or a running one from the stream that holds it, once that has parked
  // it. kNotFound SESSION_NOT_FOUND; kPermissionDenied TOKEN_INVALID, TOKEN_SUPERSEDED;
  // kUnavailable SESSION_BUSY with a retry delay: somebody else resumes it at this moment.
  // `done` takes the Claimed by move; one that ignores it ends the session.
  void Resume(Claim claim, Done<Claimed> done);

  // ---- Sessions, for the caller's own eyes. ----

  void Get(const std::string& tenant, const std::string& session_id, Done<WorldSessionInfo> done);
  // The oldest first, by (open_time, session_id).
  void List(const std::string& tenant, Done<std::vector<WorldSessionInfo>> done);
  // kNotFound SESSION_NOT_FOUND. Done once nobody can claim it; a running stream ends a step later.
  void Delete(const std::string& tenant, const std::string& session_id,
              std::function<void(absl::Status)> done);

  // ---- Snapshots. ----

  // kResourceExhausted SNAPSHOT_DISK_FULL, SNAPSHOT_TOO_LARGE.
  void SaveSnapshot(const std::string& tenant, SavedWorld world, Done<SnapshotInfo> done);
  // kNotFound SNAPSHOT_NOT_FOUND, kDataLoss SNAPSHOT_CORRUPTED.
  void LoadSnapshot(const std::string& tenant, const std::string& id, Done<SavedWorld> done);

  struct Snapshot {
    SnapshotInfo info;
    std::shared_ptr<const std::string> container;
  };
  void ExportSnapshot(const std::string& tenant, const std::string& id, Done<Snapshot> done);
  // kDataLoss when it is not a container or its digest is not `sha256`.
  void ImportSnapshot(const std::string& tenant, std::string container, std::string sha256,
                      Done<SnapshotInfo> done);

  // ---- The server's side. ----

  // WorldHolder::Draining() of every session that is held, and of those that come.
  void Drain(absl::Duration remaining);
  // Returns when nothing is held and all that was asked for is done, or false after `timeout`.
  bool WaitUntilParked(absl::Duration timeout);
  // Drops what has expired; its own thread does so by itself, by the real clock.
  void Reap();

  // Whether another server with the same folder and secret could claim what is parked here.
  bool shared() const;

  struct Counts {
    int running = 0, paused = 0, parked = 0;
    int64_t parked_bytes = 0, snapshot_bytes = 0;
  };
  Counts counts() const;

 private:
  friend class WorldHold;
  struct Impl;
  WorldStore() = default;

  std::unique_ptr<Impl> impl_;
};

}  // namespace firstbyte

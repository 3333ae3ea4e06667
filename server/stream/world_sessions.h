// The table of world sessions behind WorldStore: who holds each, what is parked, who may claim it.
//
// A session is here, held or parked in memory, or it is a file, or it is not. Files have no row, so
// every server that shares the folder sees the same ones.
//
// Thread-safe; one short lock, not held while files are read or written, nor while a holder or a
// Done is called. The rules are those of world_store.h.
#pragma once

#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "server/stream/saved_header.h"
#include "server/stream/world_files.h"
#include "server/stream/world_store.h"
#include "server/stream/world_token.h"

namespace firstbyte {

// One session of the table. What is neither const nor atomic is guarded by the table's lock.
struct WorldEntry {
  struct Waiting {
    WorldStore::Claim claim;
    WorldStore::Done<WorldStore::Claimed> done;
    absl::Time until;  // the options' clock
  };

  const std::string tenant, id, model;
  const int64_t state_bytes;
  const absl::Time open_time;          // wall clock
  std::atomic<int64_t> generation{1};  // of the newest token
  std::atomic<int64_t> confirmed{1};   // of the oldest token that can claim it when parked
  std::atomic<int64_t> next_block{0};
  std::atomic<bool> paused{false};

  bool held = true;
  std::weak_ptr<WorldHolder> holder;
  std::optional<Waiting> waiting;   // for the holder to park it
  std::optional<SavedWorld> world;  // when parked
  absl::Time expires;               // when parked; the options' clock
};

class WorldSessions {
 public:
  using Waiting = WorldEntry::Waiting;
  using Claimed = WorldStore::Claimed;
  using Entry = std::shared_ptr<WorldEntry>;

  // Holds name `store`.
  WorldSessions(const WorldStoreOptions& options, std::optional<WorldFiles> files,
                WorldStore* store);

  // Any thread.
  WorldHold Register(const std::string& tenant, const ModelInfo& info,
                     std::weak_ptr<WorldHolder> holder);
  // A hold that was dropped. Who waits for the session is returned, to be told.
  std::optional<Waiting> Drop(const Entry& entry);
  std::string TokenOf(const WorldEntry& entry) const;
  WorldStore::Counts counts() const;
  std::vector<std::shared_ptr<WorldHolder>> holders() const;
  // False after `timeout`.
  bool WaitUntilNoneHeld(absl::Duration timeout);

  // The store's thread.
  absl::Status Park(const Entry& entry, SavedWorld world);
  void Resume(WorldStore::Claim claim, WorldStore::Done<Claimed> done);
  absl::StatusOr<WorldSessionInfo> Get(const std::string& tenant, const std::string& id) const;
  std::vector<WorldSessionInfo> List(const std::string& tenant) const;
  absl::Status Delete(const std::string& tenant, const std::string& id);
  // Drops what has expired; returns how long nothing more will.
  absl::Duration Reap();

  static absl::Status NotFound();

 private:
  using Key = std::pair<std::string, std::string>;  // tenant, session id

  Entry Find(const std::string& tenant, const std::string& id) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckToken(const WorldStore::Claim& claim, int64_t generation, int64_t confirmed,
                          bool held) const;
  std::optional<absl::StatusOr<Claimed>> ResumeHere(const Entry& entry,
                                                    const WorldStore::Claim& claim,
                                                    const WorldStore::Done<Claimed>& done)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<Claimed> ResumeFile(const WorldStore::Claim& claim);
  absl::StatusOr<SavedWorld> TakeFile(const WorldStore::Claim& claim) const;
  Claimed Grant(const Entry& entry, std::weak_ptr<WorldHolder> holder, SavedWorld world)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status ParkInFile(const WorldEntry& entry, const SavedWorld& world) const;
  absl::Status ParkInMemory(const Entry& entry, SavedWorld world);
  void MakeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Release(const Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  SavedWorld Unpark(const Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Forget(const Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  WorldSessionInfo InfoOf(const WorldEntry& entry) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<WorldSessionInfo> InfoOfFile(const std::string& tenant,
                                              const std::string& id) const;
  absl::StatusOr<SavedHeader> ReadFileHeader(const std::string& tenant,
                                             const std::string& id) const;
  absl::Duration ReapFiles();

  const WorldStoreOptions options_;
  const std::optional<WorldFiles> files_;
  const TokenSigner signer_;
  WorldStore* const store_;
  std::atomic<int> file_count_{0};                    // when last looked at
  absl::Time next_file_reap_ = absl::InfinitePast();  // wall clock; the store's thread

  mutable Mutex mu_;
  CondVar released_;
  std::map<Key, Entry> sessions_ ABSL_GUARDED_BY(mu_);
  std::list<Entry> parked_ ABSL_GUARDED_BY(mu_);  // oldest first
  int64_t parked_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int held_ ABSL_GUARDED_BY(mu_) = 0;  // holds that exist, also of deleted sessions
};

}  // namespace firstbyte

// Snapshots by tenant and id: in memory, or as files that outlive the server.
//
// Bounded by the bytes of all containers. Over the bound memory drops the oldest snapshot of the
// tenant that holds the most, so nobody pushes out another's; files are refused and never dropped,
// because whoever gave the server a folder wants to find them there.
//
// Not thread-safe but for bytes(); blocks on the disk.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/stream/world_files.h"

namespace firstbyte {

class SnapshotStore {
 public:
  SnapshotStore(std::optional<WorldFiles> files, int64_t max_bytes);

  // The new id. kResourceExhausted SNAPSHOT_TOO_LARGE, SNAPSHOT_DISK_FULL.
  absl::StatusOr<std::string> Put(const std::string& tenant,
                                  std::shared_ptr<const std::string> container);
  // kNotFound SNAPSHOT_NOT_FOUND, also for another tenant's.
  absl::StatusOr<std::shared_ptr<const std::string>> Get(const std::string& tenant,
                                                         const std::string& id) const;

  // Thread-safe.
  int64_t bytes() const { return bytes_; }

 private:
  struct Kept {
    std::string tenant, id;
    std::shared_ptr<const std::string> container;
  };
  void MakeRoom(int64_t size);

  const std::optional<WorldFiles> files_;
  const int64_t max_bytes_;
  std::list<Kept> kept_;  // oldest first
  std::atomic<int64_t> bytes_ = 0;
};

}  // namespace firstbyte

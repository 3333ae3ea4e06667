// Saved worlds as files of one folder, each tenant's in a folder of its own. Several servers may
// share the folder.
//
// A file is whole or not there: it is written under a temporary name, synced, then renamed. Names
// are ids (UUIDs); tenants appear as digests only. Files are readable by the server's user alone.
//
// Blocks on the disk: not for reactions or lanes. Calls need no order, also across processes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace firstbyte {

class WorldFiles {
 public:
  // Makes the folder if need be. kFailedPrecondition says why it cannot be written to.
  static absl::StatusOr<WorldFiles> Open(const std::string& folder);

  // kResourceExhausted SNAPSHOT_DISK_FULL when there is no room; then nothing is left behind.
  absl::Status Write(const std::string& tenant, const std::string& id,
                     absl::string_view bytes) const;
  // The first `max_bytes` of a file. kNotFound: there is none.
  absl::StatusOr<std::string> Read(const std::string& tenant, const std::string& id,
                                   int64_t max_bytes) const;
  // Reads a file and removes it: of all who try, in all processes, one succeeds.
  absl::StatusOr<std::string> Take(const std::string& tenant, const std::string& id) const;
  absl::Status Remove(const std::string& tenant, const std::string& id) const;

  // InfinitePast: there is no such file.
  absl::Time WriteTime(const std::string& tenant, const std::string& id) const;
  std::vector<std::string> List(const std::string& tenant) const;  // ids, in no order
  int64_t bytes() const;                                           // of all files
  int count() const;                                               // of all tenants' worlds

  // Also what a server that died left half done.
  void RemoveWrittenBefore(absl::Time time) const;

 private:
  explicit WorldFiles(std::string folder) : folder_(std::move(folder)) {}
  std::string FolderOf(const std::string& tenant) const;
  std::string PathOf(const std::string& tenant, const std::string& id) const;

  std::string folder_;
};

// Whether `id` is a UUID as NewUuid() makes them: fit to be part of a path.
bool IsUuid(absl::string_view id);

}  // namespace firstbyte

// `firstbyte snapshot` and the first half of `firstbyte fork`: saved worlds, on the server and in
// files.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/world_client.h"

namespace firstbyte {

// Saves a session that waits, and leaves it waiting. The new token supersedes `token`.
struct TakenSnapshot {
  v1::WorldSnapshot snapshot;
  std::string token;
};
absl::StatusOr<TakenSnapshot> TakeSnapshot(WorldClient* client, const std::string& session_id,
                                           const std::string& token);

// The commands: ids go to stdout, everything else to stderr; each returns the exit code.
struct SnapshotOptions {
  std::string target;
  std::string session, token;  // save this
  std::string export_id, out;  // write this into a file
  std::string import_path;     // store this file on the server
};
int Snapshot(const SnapshotOptions& options);

}  // namespace firstbyte

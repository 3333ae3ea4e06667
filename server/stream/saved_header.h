// The JSON header of a saved world: everything but the state and the contents of the blocks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/stream/saved_world.h"

namespace firstbyte {

std::string FormatHeader(const SavedWorld& world);

struct ContentSizes {
  int64_t state = 0;                     // bytes
  std::vector<int64_t> frames, samples;  // bytes and numbers, of each block
};
struct SavedHeader {
  SavedWorld world;  // without state, frames and samples
  ContentSizes sizes;
};
// kDataLoss SNAPSHOT_CORRUPTED for anything that FormatHeader() did not write.
absl::StatusOr<SavedHeader> ParseHeader(absl::string_view text);

// The header of a container of which this is the beginning, at least kMaxWorldHeaderBytes of it.
// The digest is not looked at.
absl::StatusOr<SavedHeader> ParseWorldHeader(absl::string_view beginning);
inline constexpr int64_t kMaxWorldHeaderBytes = 2 << 20;  // with what comes before it

absl::Status Corrupted(absl::string_view what);

}  // namespace firstbyte

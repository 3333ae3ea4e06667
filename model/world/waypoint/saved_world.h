// The bytes of a saved session, and reading them back from someone who may have changed them.
//
//   "FBWAYP01" | digest of the weights, 32 | seed, frame, block, flags, u64 little-endian each |
//   scene latent, if any | decoder history | each layer's written frames | hash of all that, u64
#pragma once

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/world/waypoint/checkpoint.h"

namespace firstbyte::waypoint {

// What a session remembers besides the cache.
struct Journey {
  uint64_t seed = 1;
  int64_t frame = 0;           // latent frames since the world's beginning
  int64_t block = 0;           // blocks since the session's beginning; a reset does not change it
  bool primed = false;         // the decoder has seen a latent
  std::vector<float> scene;    // [latent_size], token order; empty: begins with noise
  std::vector<float> history;  // [decoder.history_floats()]
};

// A frame as it lies in a KvCache. They are read and written in order: layer by layer, and in a
// layer place by place from 0 on.
using ReadFrame = absl::FunctionRef<const float*(int layer, int place)>;
using WriteFrame = absl::FunctionRef<void(int layer, int place, const float* frame)>;

std::string SaveWorld(const Checkpoint& checkpoint, const Journey& journey, ReadFrame read);

// FAILED_PRECONDITION (OTHER_WEIGHTS) for a state of other weights; DATA_LOSS (BAD_STATE) for one
// that does not hold together, and then frames may have been written.
absl::StatusOr<Journey> LoadWorld(const Checkpoint& checkpoint, absl::string_view state,
                                  WriteFrame write);

// Of a world whose caches are full.
int64_t SavedBytes(const Checkpoint& checkpoint);

}  // namespace firstbyte::waypoint

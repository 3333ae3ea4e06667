// A world at a block boundary, as it waits to go on: in a snapshot, or parked after its stream
// broke. And its container, the bytes that are stored, exported and moved between servers:
//
//   "FBWORLD1" | u32 header size | header, JSON | state | blocks | sha256 of everything before it
//
// The digest finds accidents, not forgery: an imported container is a stranger's, so every field is
// checked here, and whoever uses one checks it against the model (CheckModel, Model::Open).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "model/model.h"

namespace firstbyte {

// What the player did, with what the block that it shapes echoes.
struct SavedActions {
  int64_t sequence = 0;
  std::optional<absl::Time> client_time;
  BlockActions actions;
  int repeat = 1;  // blocks still to be made of it
};
struct SavedPrompt {
  std::string text;
  std::vector<float> embedding;
  std::optional<int64_t> apply_at_block;
};
using SavedInput = std::variant<SavedActions, SavedPrompt, ResetWorld>;

// A block that was made and that the player perhaps never got.
struct SavedBlock {
  Output output;
  absl::Duration presentation_offset;
  int64_t applied_action_sequence = 0;
  std::optional<absl::Time> client_time;
};

// Of a parked session: who may claim it (world_token.h).
struct SavedSession {
  std::string id;
  int64_t generation = 0;  // of the newest token
  int64_t confirmed = 0;   // of the oldest that is still good
  absl::Time open_time;
};

struct SavedWorld {
  std::string model;    // ModelInfo::name
  std::string version;  // ModelInfo::version
  uint64_t seed = 0;
  int64_t next_block = 0;
  absl::Duration media_clock;                // presentation offset of the next block
  int64_t audio_sequence = 0;                // of the next audio message
  int64_t skipped_blocks = 0;                // so far, for being late
  SavedActions held;                         // REALTIME, FREE_RUN: the newest state of the controls
  std::vector<SavedInput> pending;           // not applied yet, in order
  std::vector<SavedBlock> blocks;            // oldest first, without gaps, up to next_block - 1
  std::shared_ptr<const std::string> state;  // Session::Save(), for SessionSpec::state
  std::optional<SavedSession> session;       // the store's own; not in snapshots

  // Bytes it takes in memory, nearly; a container takes about as many.
  int64_t bytes() const;
};

// kFailedPrecondition MODEL_MISMATCH unless `world` was made by this model with these weights.
absl::Status CheckModel(const SavedWorld& world, const ModelInfo& info);

std::string SerializeWorld(const SavedWorld& world);
// kDataLoss SNAPSHOT_CORRUPTED for anything that SerializeWorld() did not write.
absl::StatusOr<SavedWorld> ParseWorld(absl::string_view container);

}  // namespace firstbyte

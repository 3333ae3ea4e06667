// firstbyte.v1 world messages <-> the plain structs of server/stream.
//
// What can be checked without knowing the world is checked here: sizes, enums, durations. What
// depends on it (keys, axes, pacing, pictures) the stream checks.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "firstbyte/v1/world.pb.h"
#include "model/model.h"
#include "server/stream/world_hold.h"
#include "server/stream/world_messages.h"
#include "server/stream/world_store.h"

namespace firstbyte {

inline constexpr size_t kMaxImageBytes = 4 << 20;

// An OpenWorld comes without tenant; an `open` that names no request id has an empty one.
absl::StatusOr<WorldRequest> FromProto(v1::StepWorldRequest&& request);

// Moves frames and audio out of `response`.
void ToProto(WorldResponse&& response, v1::StepWorldResponse* out);

void FillSession(const WorldSessionInfo& info, v1::WorldSession* out);
void FillSnapshot(const SnapshotInfo& info, v1::WorldSnapshot* out);
// The worlds among `models`, sorted by name.
void FillWorlds(const std::vector<const ModelInfo*>& models, v1::ListWorldsResponse* out);

}  // namespace firstbyte

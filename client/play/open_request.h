// From what was typed after `firstbyte play` to the first message of the stream.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/play/play.h"
#include "client/world_client.h"
#include "firstbyte/v1/world.pb.h"

namespace firstbyte {

// kInvalidArgument with one line for a person.
absl::Status CheckPlayOptions(const PlayOptions& options);

// Asks the server whether the world has sound, and where a session that waits has got to. Of
// options that CheckPlayOptions accepts; reads the picture's file.
absl::StatusOr<v1::OpenWorld> MakeOpenRequest(const PlayOptions& options, WorldClient* client);

}  // namespace firstbyte

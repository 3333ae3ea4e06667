// A small client for WorldService: actions and prompts in, frames and sound out.
//
//   WorldClient client("127.0.0.1:50051");
//   v1::OpenWorld open;
//   open.mutable_create()->set_prompt("a rainy street");
//   auto stream = client.Open(open);
//   v1::Actions actions;
//   actions.set_sequence(1);
//   actions.add_keys("forward");
//   stream->Act(actions);                     // LOCKSTEP: one block for each
//   stream->EndInput();
//   v1::StepWorldResponse response;
//   while (stream->Next(&response)) {
//     if (response.has_block()) Show(response.block().frames(0).data());
//   }
//   absl::Status status = stream->Finish();   // OK, or why it ended; DetailOf(status).reason
//
// Messages are those of proto/firstbyte/v1/world.proto, where every field is explained. Nothing
// throws. Errors of the server arrive as absl::Status with reason, metadata and retry delay.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <grpcpp/channel.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/world_stream.h"
#include "firstbyte/v1/world.grpc.pb.h"

namespace firstbyte {

// A connection to one server. Thread-safe. Connects on first use and again after a break; outlives
// its streams or not, as you like.
class WorldClient {
 public:
  // `target`: host:port, or any gRPC target such as unix:/path. Plain text, no TLS.
  explicit WorldClient(const std::string& target);

  // Starts a call; never fails here: an error comes from Finish().
  std::unique_ptr<WorldStream> Open(const v1::OpenWorld& open, ResumePolicy resume = {});

  absl::StatusOr<v1::ListWorldsResponse> ListWorlds();
  // All pages, the oldest first.
  absl::StatusOr<std::vector<v1::WorldSession>> ListSessions();
  absl::StatusOr<v1::WorldSession> GetSession(const std::string& session_id);
  absl::Status DeleteSession(const std::string& session_id);

  // Calls `write` with the bytes of a snapshot, piece by piece, and returns what the server says of
  // them. Stops at the first error, `write`'s included. The digest is the caller's to check.
  absl::StatusOr<v1::WorldSnapshot> ExportSnapshot(
      const std::string& snapshot_id, const std::function<absl::Status(absl::string_view)>& write);
  // Stores `bytes` under a new name, which it returns. `snapshot` has their size and digest.
  absl::StatusOr<v1::WorldSnapshot> ImportSnapshot(const v1::WorldSnapshot& snapshot,
                                                   absl::string_view bytes);

 private:
  const std::shared_ptr<v1::WorldService::Stub> stub_;
};

}  // namespace firstbyte

#include "client/cli/fork.h"

#include <cstdio>

#include "absl/strings/str_format.h"
#include "client/cli/snapshot.h"
#include "client/exit_codes.h"
#include "client/rpc_status.h"

namespace firstbyte {

int Fork(const ForkOptions& options) {
  PlayOptions play = options.play;
  play.snapshot = options.origin;
  if (!options.token.empty()) {
    WorldClient client(play.target);
    auto taken = TakeSnapshot(&client, options.origin, options.token);
    if (!taken.ok()) {
      absl::FPrintF(stderr, "firstbyte: %s\n", ExplainError(taken.status(), play.target));
      return kExitFailed;
    }
    absl::FPrintF(stderr, "firstbyte: saved as %s; the session waits on, its token is now %s\n",
                  taken->snapshot.snapshot_id(), taken->token);
    play.snapshot = taken->snapshot.snapshot_id();
  }
  return Play(play);
}

}  // namespace firstbyte

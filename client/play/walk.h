// Walks by a script: sends what it says, step by step, and takes what comes.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "client/play/figures.h"
#include "client/play/script.h"
#include "client/play/show.h"
#include "client/world_stream.h"

namespace firstbyte {

struct WalkOptions {
  bool lockstep = true;  // else a step is held until its blocks have come
  std::function<void(int64_t blocks, const v1::StepWorldResponse&)> progress;
};

// The first message, `opened`, has been taken. Leaves the stream open, with nothing under way. The
// error is of the script, of a film, or kCancelled when the stream ended: its Finish() says why.
absl::Status Walk(const std::vector<ScriptStep>& steps, const WalkOptions& options,
                  WorldStream* stream, Show* show, PlayFigures* figures);

}  // namespace firstbyte

// One Synthesize call of the load generator, timed.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/loadgen/playback.h"
#include "firstbyte/v1/speech.grpc.pb.h"

namespace firstbyte {

// Times are of the steady clock.
struct CallRecord {
  absl::Time start;                       // just before config, text and half-close were sent
  std::vector<Arrival> arrivals;          // one an audio message
  std::optional<absl::Duration> audible;  // offset of the first audible sample
  absl::Time end;
  absl::Status status;
  v1::SynthesisSummary summary;  // the server's own account; empty on errors

  std::optional<absl::Duration> ttfb() const;  // nullopt when no audio came
};

// Starts the call and returns at once; `done` is called once, on a gRPC thread. `stub` must live
// until then. The stream speaks `text` in one piece.
void StartSpeechCall(v1::SpeechService::Stub* stub, const v1::SynthesizeConfig& config,
                     const std::string& text, absl::Duration timeout,
                     std::function<void(CallRecord)> done);

}  // namespace firstbyte

// Workloads that a person wrote down: --workload FILE, YAML (or JSON, which is YAML).
//
//   speech:
//     texts: ["Hello.", "How can I help you?"]   # or, instead of them,
//     words: [3, 8, 30]         # texts of these lengths
//     voices: [rms]             # each list is drawn from, evenly
//     encodings: [pcm16, opus]
//     speaking_rate: 1.1
//   world:
//     model: waypoint
//     prompt: a rainy street
//     pacing: realtime          # lockstep, realtime or free_run
//     target_fps: 20
//     blocks: 200               # then the player leaves
//     video: jpeg               # jpeg, png or raw_rgb
//     actions:                  # over and over, one a block
//       - {keys: [forward], for: 20}
//       - {keys: [forward, turn_left], pointer_dx: 0.2, for: 5}
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/loadgen/workload.h"

namespace firstbyte {

// Puts what `text` says into `spec` and leaves the rest. kInvalidArgument, with `name` and the
// line, for what it does not understand: a misspelt key is not ignored.
absl::Status ReadWorkload(const std::string& text, absl::string_view name, WorkloadSpec* spec);

// "pcm16" -> AUDIO_ENCODING_PCM16; kInvalidArgument lists the names.
absl::StatusOr<v1::AudioEncoding> EncodingNamed(absl::string_view name);
absl::StatusOr<v1::Pacing> PacingNamed(absl::string_view name);

}  // namespace firstbyte

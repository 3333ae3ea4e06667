// The messages of a speech stream as plain structs: what proto/firstbyte/v1/speech.proto says, in
// the units the server works in. server/rpc converts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "codec/audio_encoder.h"

namespace firstbyte {

struct SpeechConfig {
  std::string request_id;  // empty: one is made
  std::string model;       // empty: the voice's, or the default
  std::string voice;       // empty: the model's default
  std::string language_code;
  AudioFormat audio{.sample_rate_hertz = 0};  // rate 0 = native
  std::optional<uint64_t> seed;
  double speaking_rate = 1;
  std::optional<absl::Duration> max_lead;
  int64_t max_text_characters = 0;  // 0 = no limit
  std::string tenant;
  absl::Duration time_left = absl::InfiniteDuration();  // until the caller's deadline
};

struct TextPiece {
  std::string content;
};
struct FlushText {
  std::string marker_id;  // empty: no marker comes back
};
using SpeechRequest = std::variant<SpeechConfig, TextPiece, FlushText>;

struct SpeechStarted {
  std::string request_id, model, voice, model_digest;
  uint64_t seed = 0;
  AudioFormat audio;
  std::string container_header;
  int opus_pre_skip = 0;  // samples at 48 kHz
};

struct SpeechAudio {
  int64_t sequence = 0;
  EncodedAudio audio;
  int64_t start_sample = 0;
  int sample_rate_hertz = 0;
  absl::Duration duration() const { return absl::Seconds(1) * audio.samples / sample_rate_hertz; }
};

struct SpeechMarker {
  std::string id;
  absl::Duration offset;
};

// Where the time of one request went; definitions in docs/metrics.md.
struct RequestTiming {
  absl::Duration model_load, queue, prefill, generation, decode, encode, first_byte, total;
  double realtime_factor = 0;
  double mean_batch_size = 0;
};

struct SpeechSummary {
  absl::Duration audio_duration;
  int64_t chunks = 0;
  int64_t text_characters = 0;
  int64_t clauses = 0;
  int64_t skipped_clauses = 0;
  RequestTiming timing;
};

using SpeechResponse = std::variant<SpeechStarted, SpeechAudio, SpeechMarker, SpeechSummary>;

// How the stream ended; the transport sends it as status and trailing metadata.
struct SpeechEnd {
  absl::Status status;
  std::string request_id;
  SpeechSummary summary;  // as far as it got
};

}  // namespace firstbyte

// The messages of a world stream as plain structs: what proto/firstbyte/v1/world.proto says, in the
// units the server works in. server/rpc converts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "codec/audio_encoder.h"
#include "codec/image.h"
#include "model/model.h"
#include "server/stream/speech_messages.h"

namespace firstbyte {

enum class Pacing { kLockstep, kRealtime, kFreeRun };

struct CreateWorld {
  std::optional<uint64_t> seed;  // not set: one is drawn
  std::string prompt;            // UTF-8; empty: the world's default
  std::string initial_image;     // as sent; empty: the world's default
  ImageFormat initial_image_format = ImageFormat::kRawRgb;
};
struct ResumeWorld {
  std::string session_id, token;
  int64_t last_block_received = -1;
};
struct FromSnapshot {
  std::string snapshot_id;
};

struct OpenWorld {
  std::string tenant;                                   // who calls, as the transport knows it
  absl::Duration time_left = absl::InfiniteDuration();  // until the caller's deadline
  std::variant<CreateWorld, ResumeWorld, FromSnapshot> origin;
  std::string request_id;  // empty: one is made
  std::string model;       // empty: the default, or the saved one's
  ImageFormat video = ImageFormat::kJpeg;
  int jpeg_quality = kDefaultJpegQuality;  // checked by the stream: 1 to 100
  std::optional<AudioFormat> audio;        // not set: no sound; rate 0 = native
  Pacing pacing = Pacing::kLockstep;
  double target_fps = 0;  // checked by the stream
  std::optional<absl::Duration> max_session_duration;
  std::optional<absl::Duration> max_idle_duration;
};

struct WorldActions {
  int64_t sequence = 0;
  std::optional<absl::Time> client_time;
  std::vector<std::string> keys;
  double pointer_dx = 0, pointer_dy = 0, scroll = 0;
  std::map<std::string, double> axes;
  int repeat = 1;  // as sent: 0 counts as 1
};

// Text, unless there is an embedding. Both empty: the world's default.
struct WorldPrompt {
  std::string text;
  std::vector<float> embedding;
  std::optional<int64_t> apply_at_block;
};

enum class WorldControl { kPause, kResume, kReset, kSnapshot, kClose };

struct WorldCredit {
  int blocks = 0;
};

using WorldRequest = std::variant<OpenWorld, WorldActions, WorldPrompt, WorldControl, WorldCredit>;

struct WorldOpened {
  std::string request_id, session_id, token;
  const ModelInfo* model = nullptr;  // lives as long as the engine; its `world` is set
  uint64_t seed = 0;
  double fps = 0;
  int64_t next_block = 0;            // index of the first block that is new
  int64_t last_action_sequence = 0;  // the newest that the session has; later ones must be greater
  ImageFormat video = ImageFormat::kJpeg;
  std::optional<AudioFormat> audio;
  std::string container_header;
  int opus_pre_skip = 0;  // samples at 48 kHz
};

struct WorldBlock {
  int64_t index = 0;
  std::vector<std::string> frames;  // coded
  absl::Duration presentation_offset;
  int64_t applied_action_sequence = 0;
  std::optional<absl::Time> client_time;
  RequestTiming timing;
};

struct WorldSnapshot {
  std::string snapshot_id;
  int64_t block = 0;
  int64_t size_bytes = 0;
  std::string sha256;
};

struct WorldNotice {
  enum class Kind { kDraining, kLate, kPaused, kContextTrimmed, kPromptApplied };
  Kind kind = Kind::kPaused;
  std::string message;       // one line for people
  absl::Duration remaining;  // kDraining
  int64_t skipped_blocks = 0;
  int64_t block = 0;  // kPromptApplied: the first block it shapes; kLate: the block
};

struct WorldSummary {
  enum class Reason { kClosed, kMaxDuration, kDrained };
  Reason reason = Reason::kClosed;
  int64_t blocks = 0;
  int64_t skipped_blocks = 0;
  RequestTiming timing;
};

using WorldResponse =
    std::variant<WorldOpened, WorldBlock, SpeechAudio, WorldSnapshot, WorldNotice, WorldSummary>;

// How the stream ended; the transport sends it as status and trailing metadata.
struct WorldEnd {
  absl::Status status;
  std::string request_id;
  WorldSummary summary;  // as far as it got
};

}  // namespace firstbyte

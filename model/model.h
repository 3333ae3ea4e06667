// The contract between the scheduler and a model family.
//
// Model    loaded weights. Immutable: every method is const in effect, and all mutable state is in
//          the Session. info() and Prepare() may be called from any thread; Open(), Submit() and
//          Wait() only from the lane that runs the model.
// Session  the mutable state of one stream, touched only by its lane. Destroying it frees its slot.
//
// Errors. A session's own failure is reported for that session in StepReport; the session is then
// poisoned: nothing more is submitted for it and it is only destroyed. A failure of the whole step
// is Wait()'s status: kResourceExhausted means that no session advanced, so a smaller batch may be
// tried; any other means the device is lost, and the process drains and exits.
//
// Determinism. Same binary, instruction set, seed and clauses give the same samples: alone or in
// any batch, whatever the order and size of the steps.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace firstbyte {

// Speech: prefill = durations and conditioning of a clause (at most 64 frames a step), generate =
// one LM frame, decode = codec over `frames` frames. World models also commit.
enum class Stage { kPrefill, kGenerate, kDecode, kCommit };
inline constexpr int kStageCount = 4;
absl::string_view StageName(Stage stage);  // "prefill", ...: metric label and log value

struct VoiceInfo {
  std::string name;
  std::vector<std::string> language_codes;  // BCP-47
  std::string description;
};

struct ModelInfo {
  std::string name;
  std::string version;  // digest of the weights
  int sample_rate_hertz = 0;
  int samples_per_frame = 0;
  std::vector<VoiceInfo> voices;  // the first is the default
  // Sampling fields that the voice honours besides the seed, by proto name ("temperature").
  std::vector<std::string> sampling_fields;
  double min_speaking_rate = 1, max_speaking_rate = 1;
  int slots = 0;      // sessions that can be open at once
  int max_batch = 1;  // sessions in one Submit
  int64_t slot_bytes = 0;
};

// What one stream asked for. The voice and rate have been checked against ModelInfo.
struct SessionSpec {
  std::string voice;
  uint64_t seed = 1;
  double speaking_rate = 1;  // 2 = twice as fast
};

// One clause of the source text (model/io/segmenter.h).
struct RawInput {
  std::string text;  // UTF-8
};

// What Prepare() made of a RawInput; only the model that made it looks inside.
class Prepared {
 public:
  virtual ~Prepared() = default;
};

struct Marker {
  std::string id;
};
struct EndOfInput {};
// Inputs take effect in the order pushed. After EndOfInput nothing more is pushed.
using Input = std::variant<std::unique_ptr<Prepared>, Marker, EndOfInput>;

// What a session could do next. Cheap: read once per lane iteration.
struct Work {
  bool prefill = false;
  bool generate = false;
  int decode_frames = 0;  // frames that decode could turn into media now
  bool commit = false;
  int clauses_waiting = 0;  // pushed clauses whose prefill has not begun
  bool closed = false;      // EndOfInput was pushed
  bool done = false;        // closed, and all media has been taken
  bool any() const { return prefill || generate || decode_frames > 0 || commit; }
};

struct MarkerAt {
  std::string id;
  int64_t sample = 0;  // position in the stream's media
};

// Media finished since the last Take().
struct Output {
  int64_t start_sample = 0;    // offset of samples[0] from the start of the stream
  std::vector<float> samples;  // mono, nominally [-1, 1]
  // Markers whose audio is complete, in order. A codec that looks ahead may still hold back its
  // last few milliseconds; marker.sample then lies that much past the samples taken so far.
  std::vector<MarkerAt> markers;
};

class Session {
 public:
  virtual ~Session() = default;
  virtual absl::Status Push(Input input) = 0;
  virtual Work work() const = 0;
  virtual Output Take() = 0;
};

using Ticket = int64_t;

struct StepReport {
  std::vector<absl::Status> session_status;  // parallel to the batch; not OK = poisoned
};

class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelInfo& info() const = 0;

  // Text to phones. May block for milliseconds: never call it in a reaction or on the lane.
  // nullptr means that there is nothing speakable in it, and it is to be skipped.
  virtual absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const = 0;

  // Takes a slot; kResourceExhausted when none is free.
  virtual absl::StatusOr<std::unique_ptr<Session>> Open(const SessionSpec& spec) = 0;

  // Starts one step of `stage` for every session of `batch`, each of which has that stage in its
  // work(). `frames`: for decode the most frames a session may decode (1, 4, 8 or 16; one with
  // fewer pending decodes those); otherwise ignored. The sessions must live until Wait() returns.
  virtual Ticket Submit(Stage stage, absl::Span<Session* const> batch, int frames) = 0;
  virtual absl::Status Wait(Ticket ticket, StepReport* report) = 0;
};

}  // namespace firstbyte

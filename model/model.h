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
// Steps under way. Up to ModelInfo::steps_under_way steps may have been submitted and not yet been
// waited for. They take effect in the order of submission and are waited for in that order, each
// once, also those of a device that is lost. A session may take part in several, of one stage too,
// wherever its work() says so: work() counts a step under way as done as far as its outcome is
// known, and offers nothing that hangs on the rest. What only the device knew, such as the end of
// speech, may turn a step that was offered into one in which the session has nothing to do, which
// is no failure. While a session has a step under way,
//   Push() and Take() are as always: what is pushed is for later steps, what is taken is of those
//   that were waited for; wants_block and done are false, so nobody calls Save();
//   it is not destroyed. A poisoned one neither; what its other steps under way say is ignored.
// Want of memory is known when Submit() returns: such a step is not begun, work() does not count
// it, and steps submitted after it are right without it.
//
// Determinism. Same binary, instruction set, seed and inputs give the same media: alone or in any
// batch, whatever the order and size of the steps, saved and opened again or not.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/image.h"

namespace firstbyte {

// Speech: prefill = durations and conditioning of a clause (at most 64 frames a step), generate =
// one LM frame, decode = codec over `frames` frames. Worlds: prefill = a slice of the seed picture,
// prompt or recache, generate = one denoise pass, decode = pictures and sound of the block, commit
// = writing the finished block into the cache, after it has left.
enum class Stage { kPrefill, kGenerate, kDecode, kCommit };
inline constexpr int kStageCount = 4;
absl::string_view StageName(Stage stage);  // "prefill", ...: metric label and log value

struct VoiceInfo {
  std::string name;
  std::vector<std::string> language_codes;  // BCP-47
  std::string description;

  bool operator==(const VoiceInfo&) const = default;
};

// What a world shows and understands.
struct WorldInfo {
  static constexpr int kMaxKeys = 256;

  std::string description;
  int width = 0, height = 0;  // pixels
  double frames_per_second = 0;
  int frames_per_block = 1;
  std::vector<std::string> keys;  // at most kMaxKeys names
  std::vector<std::string> axes;
  bool pointer = false, scroll = false;
  int prompt_dimensions = 0;  // of RawInput::embedding; 0: text only
  int64_t state_bytes = 0;    // about what Session::Save() returns; 0: not known before loading

  bool operator==(const WorldInfo&) const = default;
};

struct ModelInfo {
  std::string name;
  std::string version;  // digest of the weights
  int sample_rate_hertz = 0;
  int samples_per_frame = 0;
  std::optional<WorldInfo> world;  // set: a world; not set: a voice
  std::vector<VoiceInfo> voices;   // the first is the default
  // Sampling fields that the voice honours besides the seed, by proto name ("temperature").
  std::vector<std::string> sampling_fields;
  double min_speaking_rate = 1, max_speaking_rate = 1;
  int slots = 0;            // sessions that can be open at once
  int max_batch = 1;        // sessions in one Submit
  int steps_under_way = 1;  // submitted and not yet waited for; 2 keep a device busy
  int64_t slot_bytes = 0;

  bool operator==(const ModelInfo&) const = default;
};

class Prepared;

// What one stream asked for. The voice and rate have been checked against ModelInfo.
struct SessionSpec {
  std::string voice;
  uint64_t seed = 1;
  double speaking_rate = 1;  // 2 = twice as fast
  // Worlds: where a new session begins (Prepare), or what Session::Save() returned; then the rest
  // of the spec is ignored. A state that does not hold together is kDataLoss.
  std::shared_ptr<const Prepared> scene;
  std::shared_ptr<const std::string> state;
};

// Speech: one clause of the source text (model/io/segmenter.h). Worlds: a prompt in words or
// numbers (both empty: the world's default) and, for a new session, a picture to begin with.
struct RawInput {
  std::string text;              // UTF-8
  std::vector<float> embedding;  // prompt_dimensions numbers
  std::optional<RgbImage> image;
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

// What the player does during one block; validated against WorldInfo.
struct BlockActions {
  std::bitset<WorldInfo::kMaxKeys> keys;  // held, by index into WorldInfo::keys
  float pointer_dx = 0, pointer_dy = 0;   // right and down; a frame clamps them to [-1, 1]
  float scroll = 0;
  std::vector<float> axes;  // [-1, 1], parallel to WorldInfo::axes; empty: all at rest
};
// Back to the origin with the same seed; block indices and the media clock go on.
struct ResetWorld {};

// Inputs take effect in the order pushed. After EndOfInput nothing more is pushed. A world takes
// them at block boundaries only (Work::wants_block), those of one boundary together: a Prepared is
// a new prompt, and BlockActions come last and begin the next block, once the prefill that a prompt
// or reset before them asks for is done.
using Input = std::variant<std::unique_ptr<Prepared>, Marker, EndOfInput, BlockActions, ResetWorld>;

// What a session could do next. Cheap: read once per lane iteration.
struct Work {
  bool prefill = false;
  bool generate = false;
  int decode_frames = 0;  // frames that decode could turn into media now
  bool commit = false;
  bool wants_block = false;  // worlds: at a block boundary, everything before it is committed
  int clauses_waiting = 0;   // pushed clauses whose prefill has not begun
  bool closed = false;       // EndOfInput was pushed
  bool done = false;         // closed, and all media has been taken
  bool any() const { return prefill || generate || decode_frames > 0 || commit; }
};
bool CanRun(const Work& work, Stage stage);  // whether it could join a step of this stage

struct MarkerAt {
  std::string id;
  int64_t sample = 0;  // position in the stream's media
};

// Media finished since the last Take(). Of a world: one whole block.
struct Output {
  int64_t block = -1;           // worlds: index of the block; -1 when there is none
  std::vector<uint8_t> frames;  // worlds: frames_per_block pictures, each as RgbImage::data
  int64_t start_sample = 0;     // offset of samples[0] from the start of the stream
  std::vector<float> samples;   // mono, nominally [-1, 1]
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
  // Worlds, while work().wants_block: everything that the session needs to go on elsewhere with the
  // same media, for SessionSpec::state of the same model. A copy: takes well under a millisecond.
  virtual absl::StatusOr<std::string> Save() const {
    return absl::UnimplementedError("this model's sessions cannot be saved");
  }
};

using Ticket = int64_t;

struct StepReport {
  std::vector<absl::Status> session_status;  // parallel to the batch; not OK = poisoned
};

class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelInfo& info() const = 0;

  // Text to phones, a picture to a place in the world. May block for milliseconds: never call it in
  // a reaction or on the lane. nullptr: there is nothing speakable in it, and it is to be skipped.
  virtual absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const = 0;

  // Takes a slot; kResourceExhausted when none is free.
  virtual absl::StatusOr<std::unique_ptr<Session>> Open(const SessionSpec& spec) = 0;

  // Starts one step of `stage` for every session of `batch`, each of which has that stage in its
  // work(). `frames`: for decode the most frames a session may decode (1, 4, 8 or 16; one with
  // fewer pending decodes those); otherwise ignored. The sessions must live until Wait() returns.
  virtual Ticket Submit(Stage stage, absl::Span<Session* const> batch, int frames) = 0;
  // Blocks until the step has ended. Tickets in the order of Submit(), each once.
  virtual absl::Status Wait(Ticket ticket, StepReport* report) = 0;
};

}  // namespace firstbyte

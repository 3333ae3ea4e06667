#include "model/scripted_world.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace firstbyte {
namespace {

constexpr int kSampleRate = 16000;
constexpr int kPromptDimensions = 4;

// FNV-1a.
class Hash {
 public:
  explicit Hash(uint64_t from = 0xcbf29ce484222325u) : value_(from) {}
  Hash& Add(const void* bytes, size_t size) {
    for (size_t i = 0; i < size; ++i) {
      value_ = (value_ ^ static_cast<const uint8_t*>(bytes)[i]) * 0x100000001b3u;
    }
    return *this;
  }
  template <typename T>
  Hash& Add(T number) {
    return Add(&number, sizeof number);
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_;
};

uint64_t HashOf(const RawInput& input) {
  Hash hash;
  hash.Add(input.text.data(), input.text.size());
  for (float number : input.embedding) hash.Add(number);
  if (input.image) hash.Add(input.image->data.data(), input.image->data.size());
  return hash.value();
}

uint64_t HashOf(const BlockActions& actions, uint64_t from) {
  Hash hash(from);
  for (size_t i = 0; i < actions.keys.size(); ++i) {
    if (actions.keys[i]) hash.Add(i);
  }
  hash.Add(actions.pointer_dx).Add(actions.pointer_dy).Add(actions.scroll);
  for (size_t i = 0; i < actions.axes.size(); ++i) {
    if (actions.axes[i] != 0) hash.Add(i).Add(actions.axes[i]);
  }
  return hash.value();
}

struct Scene : Prepared {
  explicit Scene(uint64_t h) : hash(h) {}
  uint64_t hash;
};

}  // namespace

ScriptedWorldReplay::ScriptedWorldReplay(const ScriptedWorldOptions& options, uint64_t seed,
                                         const RawInput& scene)
    : ScriptedWorldReplay(options, seed, HashOf(scene)) {}

ScriptedWorldReplay::ScriptedWorldReplay(const ScriptedWorldOptions& options, uint64_t seed,
                                         uint64_t scene)
    : options_(&options), state_{.seed = seed, .scene = scene} {
  Reset();
}

void ScriptedWorldReplay::Prompt(const RawInput& prompt) { state_.prompt = HashOf(prompt); }

void ScriptedWorldReplay::Reset() {
  state_.prompt = state_.scene;
  state_.memory = Hash(state_.scene).Add(state_.seed).value();
}

Output ScriptedWorldReplay::Next(const BlockActions& actions) {
  state_.memory = HashOf(actions, Hash(state_.memory).Add(state_.prompt).value());
  Output out{.block = state_.block};
  const int64_t first_frame = state_.block * options_->frames_per_block;
  out.start_sample = first_frame * options_->samples_per_frame;
  const size_t frame_bytes = size_t{3} * options_->width * options_->height;
  for (int frame = 0; frame < options_->frames_per_block; ++frame) {
    const uint64_t look = Hash(state_.memory).Add(first_frame + frame).value();
    for (size_t i = 0; i < frame_bytes; ++i) {
      out.frames.push_back(static_cast<uint8_t>(look >> (i % 8 * 8)));
    }
    const double pitch = 0.02 + 1e-3 * static_cast<double>(look % 64);
    for (int i = 0; i < options_->samples_per_frame; ++i) {
      out.samples.push_back(static_cast<float>(0.5 * std::sin(pitch * i)));
    }
  }
  ++state_.block;
  return out;
}

class ScriptedWorldSession : public Session {
 public:
  ScriptedWorldSession(const ScriptedWorldOptions& options, ScriptedWorldReplay world,
                       int prefill_slices, std::atomic<int>* open)
      : options_(options), world_(std::move(world)), slices_left_(prefill_slices), open_(open) {
    ++*open_;
  }
  ~ScriptedWorldSession() override { --*open_; }

  static ScriptedWorldReplay Origin(const ScriptedWorldOptions& options, uint64_t seed,
                                    uint64_t scene) {
    return ScriptedWorldReplay(options, seed, scene);
  }
  static absl::StatusOr<ScriptedWorldReplay> Restore(const ScriptedWorldOptions& options,
                                                     const std::string& saved) {
    ScriptedWorldReplay::State state;
    if (saved.size() != options.version.size() + sizeof state ||
        saved.compare(0, options.version.size(), options.version) != 0) {
      return Error(absl::StatusCode::kDataLoss, "SNAPSHOT_CORRUPTED",
                   "this is not the state of a scripted world");
    }
    std::memcpy(&state, saved.data() + options.version.size(), sizeof state);
    return ScriptedWorldReplay(options, state);
  }

  absl::Status Push(Input input) override {
    if (closed_ || !AtBoundary()) return absl::FailedPreconditionError("not at a block boundary");
    if (auto* prompt = std::get_if<std::unique_ptr<Prepared>>(&input)) {
      world_.state_.prompt = static_cast<Scene&>(**prompt).hash;
      slices_left_ = options_.prefill_slices;
    } else if (std::holds_alternative<ResetWorld>(input)) {
      world_.Reset();
      slices_left_ = options_.prefill_slices;
    } else if (auto* actions = std::get_if<BlockActions>(&input)) {
      actions_ = std::move(*actions);
      passes_left_ = options_.passes;
      decode_ = commit_ = true;
    } else if (std::holds_alternative<EndOfInput>(input)) {
      closed_ = true;
    }
    return absl::OkStatus();
  }

  Work work() const override {
    Work work{.closed = closed_};
    if (slices_left_ > 0) {
      work.prefill = true;
    } else if (passes_left_ > 0) {
      work.generate = true;
    } else if (decode_) {
      work.decode_frames = options_.frames_per_block;
    } else if (commit_) {
      work.commit = true;
    } else {
      work.wants_block = !closed_;
      work.done = closed_;
    }
    return work;
  }

  Output Take() override { return std::exchange(output_, {}); }

  absl::StatusOr<std::string> Save() const override {
    if (!AtBoundary()) return absl::FailedPreconditionError("not at a block boundary");
    std::string bytes = options_.version;
    bytes.append(reinterpret_cast<const char*>(&world_.state_), sizeof world_.state_);
    return bytes;
  }

  absl::Status Step(Stage stage, int poison_key) {
    if (stage == Stage::kPrefill) --slices_left_;
    if (stage == Stage::kGenerate) {
      if (poison_key >= 0 && actions_.keys[poison_key]) {
        return Error(absl::StatusCode::kInternal, "SCRIPTED_FAILURE", "told to fail at this key");
      }
      --passes_left_;
    }
    if (stage == Stage::kDecode) {
      output_ = world_.Next(actions_);
      decode_ = false;
    }
    if (stage == Stage::kCommit) commit_ = false;
    return absl::OkStatus();
  }

 private:
  // A boundary even while a scene or prompt is being taken in: more prompts may come with it.
  bool AtBoundary() const { return passes_left_ == 0 && !decode_ && !commit_; }

  const ScriptedWorldOptions& options_;
  ScriptedWorldReplay world_;
  int slices_left_;
  int passes_left_ = 0;
  bool decode_ = false, commit_ = false, closed_ = false;
  BlockActions actions_;
  Output output_;
  std::atomic<int>* const open_;
};

namespace {

class ScriptedWorld : public Model {
 public:
  explicit ScriptedWorld(ScriptedWorldOptions options) : options_(std::move(options)) {
    info_.name = options_.name;
    info_.version = options_.version;
    info_.sample_rate_hertz = options_.samples_per_frame > 0 ? kSampleRate : 0;
    info_.samples_per_frame = options_.samples_per_frame;
    info_.slots = options_.slots;
    info_.max_batch = options_.max_batch;
    info_.world = WorldInfo{.description = "noise that remembers what you did",
                            .width = options_.width,
                            .height = options_.height,
                            .frames_per_second = options_.frames_per_second,
                            .frames_per_block = options_.frames_per_block,
                            .keys = {"W", "A", "S", "D", "SPACE"},
                            .axes = {"look_x", "look_y"},
                            .pointer = true,
                            .scroll = true,
                            .prompt_dimensions = kPromptDimensions,
                            .state_bytes = 64};
    for (size_t i = 0; i < info_.world->keys.size(); ++i) {
      if (info_.world->keys[i] == options_.poison_key) poison_key_ = static_cast<int>(i);
    }
  }

  const ModelInfo& info() const override { return info_; }

  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const override {
    if (options_.on_prepare) {
      if (absl::Status status = options_.on_prepare(input); !status.ok()) return status;
    }
    return std::make_unique<Scene>(HashOf(input));
  }

  absl::StatusOr<std::unique_ptr<Session>> Open(const SessionSpec& spec) override {
    if (open_ >= options_.slots) {
      return Error(absl::StatusCode::kResourceExhausted, "NO_SLOT", "all slots are taken");
    }
    if (spec.state) {
      auto world = ScriptedWorldSession::Restore(options_, *spec.state);
      if (!world.ok()) return world.status();
      return std::make_unique<ScriptedWorldSession>(options_, *world, 0, &open_);
    }
    const uint64_t scene =
        spec.scene ? static_cast<const Scene&>(*spec.scene).hash : HashOf(RawInput{});
    return std::make_unique<ScriptedWorldSession>(
        options_, ScriptedWorldSession::Origin(options_, spec.seed, scene), options_.prefill_slices,
        &open_);
  }

  Ticket Submit(Stage stage, absl::Span<Session* const> batch, int /*frames*/) override {
    report_ = {};
    step_status_ = options_.on_step ? options_.on_step(stage, static_cast<int>(batch.size()))
                                    : absl::OkStatus();
    if (!step_status_.ok()) return ++ticket_;
    for (Session* session : batch) {
      report_.session_status.push_back(
          static_cast<ScriptedWorldSession*>(session)->Step(stage, poison_key_));
    }
    return ++ticket_;
  }

  absl::Status Wait(Ticket, StepReport* report) override {
    *report = std::move(report_);
    return step_status_;
  }

 private:
  const ScriptedWorldOptions options_;
  ModelInfo info_;
  int poison_key_ = -1;
  std::atomic<int> open_{0};
  Ticket ticket_ = 0;
  StepReport report_;
  absl::Status step_status_;
};

}  // namespace

std::unique_ptr<Model> MakeScriptedWorld(ScriptedWorldOptions options) {
  return std::make_unique<ScriptedWorld>(std::move(options));
}

}  // namespace firstbyte

#include "model/world/state_dit/session.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "model/kernels/philox.h"

namespace firstbyte::state_dit {
namespace {

bool AllFinite(absl::Span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

}  // namespace

WorldSession::WorldSession(const World& world, const RingMemory& rings, Slot slot)
    : world_(world), rings_(rings), slot_(std::move(slot)) {
  const Config& c = world_.config;
  const int video = kVideoTokens * c.latent_channels, audio = c.audio_channels;
  facts_.events.assign(c.dit.events, 0.0f);
  memories_.assign(
      window(), {0, facts_, std::vector<float>(video, 0.0f), std::vector<float>(audio, 0.0f), {}});
  noise_.resize(video + audio + c.dit.events);
  video_.resize(video);
  audio_.resize(audio);
  in_video_.resize(video);
  in_audio_.resize(audio);
  estimate_.resize(video);
  columns_.resize(kLatentSide * c.column_features());
}

void WorldSession::Begin(const Scene& scene, uint64_t seed) {
  seed_ = seed;
  origin_ = scene.state;
  origin_theme_ = scene.theme;
  origin_latents_ = scene.latents;
  BeginOrigin();
}

void WorldSession::BeginOrigin() {
  state_ = origin_;
  theme_ = origin_theme_;
  frame_ = 0;
  ring_ = {};
  Memory& seed = memories_[0];
  seed.frame = 0;
  seed.facts.before = seed.facts.after = origin_;
  seed.facts.action.fill(0);
  std::fill(seed.facts.events.begin(), seed.facts.events.end(), 0.0f);
  std::fill(seed.residual.begin(), seed.residual.end(), 0.0f);
  std::fill(seed.audio.begin(), seed.audio.end(), 0.0f);
  seed.note.fill(0);
  recache_left_ = 1;
  phase_ = Phase::kPrefill;
}

void WorldSession::BeginRecache(int theme) {
  theme_ = theme;
  if (phase_ == Phase::kPrefill) return;  // which has not begun
  const int valid = ring_.valid(window());
  if (valid == window()) {  // the oldest to the front
    std::rotate(memories_.begin(), memories_.begin() + ring_.next(window()), memories_.end());
  }
  ring_ = {};
  recache_left_ = valid;
  phase_ = Phase::kPrefill;
}

absl::Status WorldSession::Push(Input input) {
  if (closed_) {
    return Error(absl::StatusCode::kFailedPrecondition, "INPUT_AFTER_END",
                 "nothing may follow the end of input");
  }
  if (std::holds_alternative<EndOfInput>(input)) {
    closed_ = true;
    return absl::OkStatus();
  }
  if (std::holds_alternative<Marker>(input)) {
    return Invalid("NO_MARKERS", "a world has no markers");
  }
  if (!TakesInputs()) {
    return Error(absl::StatusCode::kFailedPrecondition, "NOT_AT_BOUNDARY",
                 "a world takes its inputs between blocks");
  }
  if (std::holds_alternative<ResetWorld>(input)) {
    BeginOrigin();
    return absl::OkStatus();
  }
  if (auto* prepared = std::get_if<std::unique_ptr<Prepared>>(&input)) {
    const auto* scene = dynamic_cast<const Scene*>(prepared->get());
    if (scene == nullptr) return Invalid("BAD_PROMPT", "not prepared by this model");
    if (scene->theme != theme_) BeginRecache(scene->theme);
    return absl::OkStatus();
  }
  const auto& actions = std::get<BlockActions>(input);
  if (!std::isfinite(actions.pointer_dx)) return Invalid("NOT_FINITE", "the pointer is nowhere");
  for (int key = 0; key < kKeys; ++key) action_[key] = actions.keys[key] ? 1.0f : 0.0f;
  action_[kKeys] = std::clamp(actions.pointer_dx, -1.0f, 1.0f);
  acting_ = true;
  if (phase_ == Phase::kIdle) BeginFrame();
  return absl::OkStatus();
}

// At a boundary, and then until the inputs of that boundary have begun to be worked off.
bool WorldSession::TakesInputs() const {
  const bool untouched = phase_ == Phase::kPrefill && ring_.committed == 0;
  return !acting_ && (untouched || work().wants_block);
}

void WorldSession::BeginFrame() {
  acting_ = false;
  facts_.action = action_;
  pass_ = 0;
  phase_ = Phase::kDenoise;
}

Work WorldSession::work() const {
  Work work;
  work.prefill = phase_ == Phase::kPrefill;
  work.generate = phase_ == Phase::kDenoise;
  work.decode_frames = phase_ == Phase::kDecode ? 1 : 0;
  work.commit = phase_ == Phase::kCommit;
  const bool idle = phase_ == Phase::kIdle && output_.block < 0;
  work.wants_block = idle && !closed_;
  work.closed = closed_;
  work.done = idle && closed_;
  return work;
}

Output WorldSession::Take() { return std::exchange(output_, {}); }

MoveRow WorldSession::NextMove() {
  facts_.before = state_;
  return {&facts_.before, &facts_.action, &facts_.after};
}

Renderer::Place WorldSession::NextView() {
  if (phase_ == Phase::kPrefill) facts_ = memories_[ring_.committed].facts;
  const State& s = facts_.after;
  return {{s[0], s[1], s[2]}, theme_, columns_.data(), estimate_.data()};
}

void WorldSession::FinishView() {
  if (phase_ != Phase::kPrefill) {
    current_ = frame_;
    state_ = facts_.after;
    return DrawNoise();
  }
  Memory& memory = memories_[ring_.committed];
  current_ = memory.frame;
  if (frame_ == 0 && !origin_latents_.empty()) {
    for (size_t i = 0; i < estimate_.size(); ++i) {
      memory.residual[i] = origin_latents_[i] - estimate_[i];
    }
  }
  audio_ = memory.audio;
  note_ = memory.note;
}

// Counted from the origin: the same seed and actions give the same world again after a reset.
void WorldSession::DrawNoise() {
  const auto count = static_cast<int>(noise_.size());
  kernels::UniformNoise(seed_, current_ * count, count,
                        static_cast<kernels::NoisePurpose>(world_.config.noise_purpose),
                        noise_.data());
  std::copy_n(noise_.end() - static_cast<int64_t>(facts_.events.size()), facts_.events.size(),
              facts_.events.begin());
  std::fill(video_.begin(), video_.end(), 0.0f);
  std::fill(audio_.begin(), audio_.end(), 0.0f);
}

// x = (1 - sigma) latents + sigma noise, with what the pass before predicted.
void WorldSession::Mix(float sigma) {
  const float* noise = noise_.data();
  for (size_t i = 0; i < video_.size(); ++i) {
    in_video_[i] = (1 - sigma) * video_[i] + sigma * *noise++;
  }
  for (size_t i = 0; i < audio_.size(); ++i) {
    in_audio_[i] = (1 - sigma) * audio_[i] + sigma * *noise++;
  }
}

PassRow WorldSession::NextPass() {
  float sigma = 0;
  if (phase_ == Phase::kDenoise) {
    sigma = static_cast<float>(world_.config.dit.sigmas[pass_]);
    Mix(sigma);
    in_note_ = Carried(*world_.kernels, memories_[last_place()].note, facts_.before, facts_.after);
  } else {
    if (phase_ == Phase::kCommit) Remember();
    const Memory& memory = memories_[ring_.next(window())];
    for (size_t i = 0; i < in_video_.size(); ++i) in_video_[i] = estimate_[i] + memory.residual[i];
    in_audio_ = memory.audio;
    in_note_ = memory.note;
  }
  return {&facts_,
          sigma,
          theme_,
          current_,
          in_video_.data(),
          in_audio_.data(),
          &in_note_,
          estimate_.data(),
          columns_.data(),
          slot_.index(),
          ring_,
          video_.data(),
          audio_.data(),
          &note_};
}

void WorldSession::Remember() {
  Memory& memory = memories_[ring_.next(window())];
  memory.frame = current_;
  memory.facts = facts_;
  for (size_t i = 0; i < video_.size(); ++i) memory.residual[i] = video_[i] - estimate_[i];
  memory.audio = audio_;
  memory.note = Settled(note_, in_note_);  // which is still the one carried along
}

absl::Status WorldSession::FinishDenoise() {
  if (!AllFinite(video_) || !AllFinite(audio_) || !AllFinite(note_)) {
    return Error(absl::StatusCode::kInternal, "NOT_FINITE",
                 "the model gave a value that is not a number");
  }
  if (++pass_ == static_cast<int>(world_.config.dit.sigmas.size())) phase_ = Phase::kDecode;
  return absl::OkStatus();
}

void WorldSession::FinishCommit() {
  ++ring_.committed;
  if (phase_ == Phase::kCommit || frame_ == 0) ++frame_;
  if (phase_ == Phase::kPrefill && --recache_left_ > 0) return;
  phase_ = Phase::kIdle;
  if (acting_) BeginFrame();
}

void WorldSession::FinishDecode(const float* pixels) {
  const int samples = world_.config.samples_per_frame;
  output_.block = block_;
  output_.frames.resize(kPicture * kPicture * 3);
  ToBytes(pixels, kPicture * kPicture * 3, output_.frames.data());
  output_.start_sample = block_ * samples;
  output_.samples.resize(samples);
  world_.audio.Decode(audio_.data(), output_.samples.data());
  ++block_;
  phase_ = Phase::kCommit;
}

}  // namespace firstbyte::state_dit

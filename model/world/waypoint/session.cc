#include "model/world/waypoint/session.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "model/world/waypoint/picture.h"

namespace firstbyte::waypoint {
namespace {

// The scene's own latent follows the dropped feeds, and is dropped as well.
constexpr int kSceneFeeds = TaehvDecoder::kPrimingFeeds + 1;

bool IsNumber(const BlockActions& actions) {
  return std::isfinite(actions.pointer_dx) && std::isfinite(actions.pointer_dy) &&
         std::isfinite(actions.scroll);
}

}  // namespace

WaypointSession::WaypointSession(const Checkpoint& checkpoint, Journey journey, bool scene_pending,
                                 Slot slot, KvCache* cache)
    : checkpoint_(checkpoint),
      config_(checkpoint.config),
      slot_(std::move(slot)),
      cache_(cache),
      journey_(std::move(journey)),
      scene_pending_(scene_pending),
      latent_(config_.latent_size()),
      controls_(config_.controls()),
      map_(config_.latent_size()) {}

bool WaypointSession::AtBoundary() const {
  return !in_block_ && !scene_pending_ && output_.block < 0;
}

Work WaypointSession::work() const {
  Work work;
  const bool denoised = in_block_ && pass_ == config_.passes();
  work.closed = closed_;
  work.prefill = scene_pending_ && !closed_;
  work.generate = in_block_ && !denoised;
  work.decode_frames = denoised && !decoded_ ? kFramesPerLatent : 0;
  work.commit = denoised && decoded_;
  work.wants_block = AtBoundary() && !closed_;
  work.done = closed_ && !in_block_ && output_.block < 0;
  return work;
}

absl::Status WaypointSession::Push(Input input) {
  if (closed_) {
    return Error(absl::StatusCode::kFailedPrecondition, "INPUT_AFTER_END",
                 "nothing may follow the end of input");
  }
  if (std::holds_alternative<EndOfInput>(input)) {
    closed_ = true;
    return absl::OkStatus();
  }
  if (std::holds_alternative<std::unique_ptr<Prepared>>(input)) {
    return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED", "this world takes no prompts",
                 "prompt");
  }
  const bool after_reset = scene_pending_ && !SceneIsInCache() && !deed_;  // at the same boundary
  if (!AtBoundary() && !after_reset) {
    return Error(absl::StatusCode::kFailedPrecondition, "BLOCK_UNDER_WAY",
                 "a world takes inputs between blocks");
  }
  if (std::holds_alternative<ResetWorld>(input)) {
    Reset();
    return absl::OkStatus();
  }
  if (auto* actions = std::get_if<BlockActions>(&input)) {
    if (!IsNumber(*actions)) {
      return Invalid("NOT_FINITE", "pointer and scroll must be numbers", "actions");
    }
    if (scene_pending_) {
      deed_ = *std::move(actions);
    } else {
      Begin(*actions);
    }
    return absl::OkStatus();
  }
  return Invalid("NOT_FOR_WORLDS", "worlds have no markers");
}

void WaypointSession::Begin(const BlockActions& actions) {
  controls_[0] = std::clamp(actions.pointer_dx, -1.0f, 1.0f);
  controls_[1] = std::clamp(actions.pointer_dy, -1.0f, 1.0f);
  for (int i = 0; i < config_.n_buttons; ++i) controls_[2 + i] = actions.keys[i] ? 1 : 0;
  controls_.back() = static_cast<float>((actions.scroll > 0) - (actions.scroll < 0));
  checkpoint_.Noise(journey_.seed, journey_.frame, latent_.data());
  in_block_ = true;
  decoded_ = false;
  pass_ = 0;
}

void WaypointSession::Reset() {
  journey_.frame = 0;  // which also forgets the cache
  journey_.primed = false;
  std::fill(journey_.history.begin(), journey_.history.end(), 0.0f);
  scene_pending_ = !journey_.scene.empty();
  primed_feeds_ = -1;
}

Output WaypointSession::Take() { return std::exchange(output_, {}); }

absl::StatusOr<std::string> WaypointSession::Save() const {
  if (!AtBoundary()) {
    return Error(absl::StatusCode::kFailedPrecondition, "BLOCK_UNDER_WAY",
                 "a world is saved between blocks");
  }
  return Write();
}

absl::StatusOr<std::string> WaypointSession::Write() const {
  return SaveWorld(checkpoint_, journey_,
                   [this](int layer, int place) { return cache_->Frame(layer, place); });
}

// Frame 0 is the scene, with nobody touching anything.
PassRow WaypointSession::SceneRow() {
  std::fill(controls_.begin(), controls_.end(), 0.0f);
  return {journey_.scene.data(), controls_.data(), 0, config_.passes(), slot(), cache_, nullptr};
}

const float* WaypointSession::LatentMap() {
  checkpoint_.ToMap(scene_pending_ ? journey_.scene.data() : latent_.data(), map_.data());
  return map_.data();
}

void WaypointSession::Feed(TaehvDecoder::Buffers* buffers, float* pictures) {
  checkpoint_.decoder.Run(LatentMap(), journey_.history.data(), buffers, pictures);
}

void WaypointSession::Prime(TaehvDecoder::Buffers* buffers, float* pictures) {
  Feed(buffers, pictures);
  if (++primed_feeds_ == kSceneFeeds) FinishPriming();
}

void WaypointSession::FinishPriming() {
  journey_.frame = 1;
  journey_.primed = true;
  scene_pending_ = false;
  if (deed_) Begin(*std::exchange(deed_, std::nullopt));
}

PassRow WaypointSession::NextPass(float* velocity) {
  return {latent_.data(), controls_.data(), journey_.frame, pass_, slot(), cache_, velocity};
}

absl::Status WaypointSession::FinishPass(const float* velocity) {
  const float step = checkpoint_.euler_steps[pass_++];
  for (size_t i = 0; i < latent_.size(); ++i) latent_[i] += step * velocity[i];
  if (std::all_of(latent_.begin(), latent_.end(), [](float v) { return std::isfinite(v); })) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kInternal, "NOT_FINITE",
               "the world model gave a value that is not a number");
}

void WaypointSession::Decode(TaehvDecoder::Buffers* buffers, float* pictures) {
  for (int i = 0; !journey_.primed && i < TaehvDecoder::kPrimingFeeds; ++i) {
    Feed(buffers, pictures);
  }
  Feed(buffers, pictures);
  const int64_t decoded = int64_t{config_.decoded_height()} * config_.decoded_width() * 3;
  const int64_t shown = int64_t{config_.picture_height()} * config_.picture_width() * 3;
  std::vector<uint8_t> frames(kFramesPerLatent * shown);
  std::vector<float> resized(decoded == shown ? 0 : shown);
  for (int i = 0; i < kFramesPerLatent; ++i) {
    const float* picture = pictures + i * decoded;
    if (decoded != shown) {
      Resize(picture, config_.decoded_height(), config_.decoded_width(), config_.picture_height(),
             config_.picture_width(), resized.data());
      picture = resized.data();
    }
    ToBytes(picture, shown, frames.data() + i * shown);
  }
  FinishDecode(std::move(frames));
}

void WaypointSession::FinishDecode(std::vector<uint8_t> frames) {
  output_.block = journey_.block;
  output_.frames = std::move(frames);
  journey_.primed = true;
  decoded_ = true;
}

PassRow WaypointSession::CommitRow() {
  return {latent_.data(), controls_.data(), journey_.frame, config_.passes(),
          slot(),         cache_,           nullptr};
}

void WaypointSession::FinishCommit() {
  ++journey_.frame;
  ++journey_.block;
  in_block_ = false;
}

}  // namespace firstbyte::waypoint

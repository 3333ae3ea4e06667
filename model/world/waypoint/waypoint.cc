#include "model/world/waypoint/waypoint.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/world/waypoint/buttons.h"
#include "model/world/waypoint/picture.h"

namespace firstbyte::waypoint {
namespace {

constexpr int64_t kDefaultCaches = int64_t{1} << 30;
constexpr int kMostDefaultSlots = 16;

WaypointSession& Mine(Session* session) { return *static_cast<WaypointSession*>(session); }

int64_t SlotBytes(const Checkpoint& checkpoint) {
  const Config& c = checkpoint.config;
  return int64_t{sizeof(float)} *
         (KvCache::Frames(c) * KvCache::FrameFloats(c) + checkpoint.decoder.history_floats());
}

ModelInfo InfoOf(const Checkpoint& checkpoint, const LaneSize& size) {
  const Config& c = checkpoint.config;
  ModelInfo info;
  info.name = c.name;
  info.version = checkpoint.version;
  info.slot_bytes = SlotBytes(checkpoint);
  info.slots = size.slots > 0 ? size.slots
                              : static_cast<int>(std::clamp<int64_t>(
                                    kDefaultCaches / info.slot_bytes, 1, kMostDefaultSlots));
  info.max_batch = size.max_batch;
  WorldInfo& world = info.world.emplace();
  world.description = "Waypoint-1.5: walk through what it dreams, with keys and pointer";
  world.width = c.picture_width();
  world.height = c.picture_height();
  world.frames_per_second = c.inference_fps;
  world.frames_per_block = kFramesPerLatent;
  world.keys = ButtonNames(c.n_buttons);
  world.pointer = world.scroll = true;
  world.state_bytes = SavedBytes(checkpoint);
  return info;
}

absl::Status NotSupported(absl::string_view what, absl::string_view field) {
  return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED", what, field);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Waypoint>> Waypoint::Create(
    std::shared_ptr<const Checkpoint> checkpoint, const LaneSize& size) {
  if (size.slots < 0 || size.max_batch < 1) {
    return Error(absl::StatusCode::kInvalidArgument, "BAD_LANE_SIZE",
                 "slots and batch must be positive");
  }
  try {  // a failed allocation is an exception, LibTorch's or the library's
    return std::unique_ptr<Waypoint>(new Waypoint(std::move(checkpoint), size));
  } catch (const std::exception& e) {
    return Error(absl::StatusCode::kResourceExhausted, "NO_MEMORY",
                 absl::StrCat(size.slots, " slots: ", e.what()));
  }
}

Waypoint::Waypoint(std::shared_ptr<const Checkpoint> checkpoint, const LaneSize& size)
    : checkpoint_(std::move(checkpoint)),
      info_(InfoOf(*checkpoint_, size)),
      dit_(checkpoint_->config, size.max_batch),
      decoder_(checkpoint_->decoder) {
  const Config& c = checkpoint_->config;
  for (int slot = info_.slots; slot-- > 0;) {
    caches_.emplace_back(c);
    free_slots_.push_back(slot);
  }
  velocities_.resize(int64_t{size.max_batch} * c.latent_size());
  pictures_.resize(int64_t{kFramesPerLatent} * c.decoded_height() * c.decoded_width() * 3);
  rows_.reserve(size.max_batch);
  running_.reserve(size.max_batch);
}

absl::StatusOr<std::unique_ptr<Prepared>> Waypoint::Prepare(const RawInput& input) const {
  if (!input.text.empty() || !input.embedding.empty()) {
    return NotSupported("this world takes no prompts", "prompt");
  }
  auto scene = std::make_unique<Scene>();
  if (!input.image) return scene;
  const RgbImage& image = *input.image;
  if (image.width < 1 || image.height < 1 ||
      image.data.size() != size_t{3} * image.width * image.height) {
    return Error(absl::StatusCode::kInvalidArgument, "BAD_IMAGE", "the picture has no pixels",
                 "initial_image");
  }
  const Config& c = checkpoint_->config;
  try {
    std::vector<float> given(image.data.size());
    std::vector<float> picture(int64_t{c.decoded_height()} * c.decoded_width() * 3);
    std::vector<float> map(c.latent_size());
    FromBytes(image.data, given.data());
    Resize(given.data(), image.height, image.width, c.decoded_height(), c.decoded_width(),
           picture.data());
    checkpoint_->encoder.Run(picture.data(), map.data());
    scene->latent.resize(c.latent_size());
    checkpoint_->ToTokens(map.data(), scene->latent.data());
  } catch (const std::exception& e) {
    return Error(absl::StatusCode::kResourceExhausted, "NO_MEMORY", e.what());
  }
  return scene;
}

absl::StatusOr<Journey> Waypoint::Begin(const SessionSpec& spec, KvCache* cache) const {
  if (spec.state != nullptr) return LoadWorld(*checkpoint_, *spec.state, cache);
  Journey journey;
  journey.seed = spec.seed;
  journey.history.resize(checkpoint_->decoder.history_floats());
  if (spec.scene == nullptr) return journey;
  auto* scene = dynamic_cast<const Scene*>(spec.scene.get());
  if (scene == nullptr || (!scene->latent.empty() &&
                           scene->latent.size() != size_t(checkpoint_->config.latent_size()))) {
    return Error(absl::StatusCode::kInvalidArgument, "BAD_SCENE",
                 "the scene was not prepared by this model");
  }
  journey.scene = scene->latent;
  return journey;
}

absl::StatusOr<std::unique_ptr<Session>> Waypoint::Open(const SessionSpec& spec) {
  if (free_slots_.empty()) {
    return Error(absl::StatusCode::kResourceExhausted, "NO_SLOT", "all slots are taken");
  }
  const int slot = free_slots_.back();
  auto release = [this](int freed) { free_slots_.push_back(freed); };
  try {
    absl::StatusOr<Journey> journey = Begin(spec, &caches_[slot]);
    if (!journey.ok()) return journey.status();
    const bool scene_pending = spec.state == nullptr && !journey->scene.empty();
    auto session = std::make_unique<WaypointSession>(*checkpoint_, *std::move(journey),
                                                     scene_pending, slot, &caches_[slot], release);
    free_slots_.pop_back();
    return session;
  } catch (const std::exception& e) {
    return Error(absl::StatusCode::kResourceExhausted, "NO_MEMORY", e.what());
  }
}

Ticket Waypoint::Submit(Stage stage, absl::Span<Session* const> batch, int) {
  report_.session_status.assign(batch.size(), absl::OkStatus());
  step_status_ = absl::OkStatus();
  rows_.clear();
  running_.clear();
  if (batch.size() > static_cast<size_t>(info_.max_batch)) {
    step_status_ = Error(absl::StatusCode::kResourceExhausted, "BATCH_TOO_LARGE",
                         absl::StrCat("at most ", info_.max_batch, " sessions fit one step"));
  } else if (stage == Stage::kPrefill) {
    Prefill(batch);
  } else if (stage == Stage::kGenerate) {
    Generate(batch);
  } else if (stage == Stage::kDecode) {
    Decode(batch);
  } else {
    Commit(batch);
  }
  return ++ticket_;
}

absl::Status Waypoint::Wait(Ticket, StepReport* report) {
  *report = std::move(report_);
  return step_status_;
}

void Waypoint::Prefill(absl::Span<Session* const> batch) {
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!batch[i]->work().prefill) continue;
    if (Mine(batch[i]).SceneIsInCache()) {
      Mine(batch[i]).Prime(&decoder_, pictures_.data());
    } else {
      running_.push_back(i);
      rows_.push_back(Mine(batch[i]).SceneRow());
    }
  }
  checkpoint_->dit.Run(Pass::kCommit, rows_, &dit_);
  for (size_t i : running_) Mine(batch[i]).FinishSceneRow();
}

void Waypoint::Generate(absl::Span<Session* const> batch) {
  const int64_t size = checkpoint_->config.latent_size();
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!batch[i]->work().generate) continue;
    float* velocity = velocities_.data() + static_cast<int64_t>(running_.size()) * size;
    running_.push_back(i);
    rows_.push_back(Mine(batch[i]).NextPass(velocity));
  }
  checkpoint_->dit.Run(Pass::kDenoise, rows_, &dit_);
  for (size_t row = 0; row < running_.size(); ++row) {
    const size_t i = running_[row];
    report_.session_status[i] = Mine(batch[i]).FinishPass(rows_[row].velocity);
  }
}

// One session's maps fill the kernels' tiles by themselves: nothing to gain from one large map.
void Waypoint::Decode(absl::Span<Session* const> batch) {
  for (Session* session : batch) {
    if (session->work().decode_frames > 0) Mine(session).Decode(&decoder_, pictures_.data());
  }
}

void Waypoint::Commit(absl::Span<Session* const> batch) {
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!batch[i]->work().commit) continue;
    running_.push_back(i);
    rows_.push_back(Mine(batch[i]).CommitRow());
  }
  checkpoint_->dit.Run(Pass::kCommit, rows_, &dit_);
  for (size_t i : running_) Mine(batch[i]).FinishCommit();
}

}  // namespace firstbyte::waypoint

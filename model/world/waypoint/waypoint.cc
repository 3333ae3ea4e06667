#include "model/world/waypoint/waypoint.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/no_memory.h"
#include "model/world/waypoint/buttons.h"
#include "model/world/waypoint/picture.h"

namespace firstbyte::waypoint {
namespace {

constexpr int64_t kDefaultCaches = int64_t{1} << 30;
constexpr int kMostDefaultSlots = 16;

WaypointSession& Mine(Session* session) { return *static_cast<WaypointSession*>(session); }

absl::Status NotSupported(absl::string_view what, absl::string_view field) {
  return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED", what, field);
}

}  // namespace

ModelInfo Waypoint::InfoOf(const Checkpoint& checkpoint, const LaneSize& size) {
  ModelInfo info = Describe(checkpoint.config, size);
  info.version = checkpoint.version;
  info.slot_bytes += int64_t{sizeof(float)} * checkpoint.decoder.history_floats();
  info.world->state_bytes = SavedBytes(checkpoint);
  return info;
}

ModelInfo Waypoint::Describe(const Config& c, const LaneSize& size) {
  ModelInfo info;
  info.name = c.name;
  info.slot_bytes = int64_t{sizeof(float)} * KvCache::Frames(c) * KvCache::FrameFloats(c);
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
  return info;
}

absl::StatusOr<std::unique_ptr<Waypoint>> Waypoint::Create(
    std::shared_ptr<const Checkpoint> checkpoint, const LaneSize& size) {
  if (size.slots < 0 || size.max_batch < 1) {
    return Invalid("BAD_LANE_SIZE", "slots and batch must be positive");
  }
  const int slots = Describe(checkpoint->config, size).slots;
  return OrNoMemory(absl::StrCat(slots, " slots"), [&] {
    return absl::StatusOr<std::unique_ptr<Waypoint>>(
        new Waypoint(std::move(checkpoint), {slots, size.max_batch}));
  });
}

Waypoint::Waypoint(std::shared_ptr<const Checkpoint> checkpoint, const LaneSize& size)
    : SlottedModel(size.slots),
      checkpoint_(std::move(checkpoint)),
      info_(InfoOf(*checkpoint_, size)),
      dit_(checkpoint_->config, size.max_batch),
      decoder_(checkpoint_->decoder) {
  const Config& c = checkpoint_->config;
  for (int slot = 0; slot < size.slots; ++slot) caches_.emplace_back(c);
  velocities_.resize(int64_t{size.max_batch} * c.latent_size());
  pictures_.resize(int64_t{kFramesPerLatent} * c.decoded_height() * c.decoded_width() * 3);
  rows_.reserve(size.max_batch);
  running_.reserve(size.max_batch);
}

absl::StatusOr<std::unique_ptr<Prepared>> Waypoint::Prepare(const RawInput& input) const {
  return PrepareFor(*checkpoint_, input);
}

absl::StatusOr<std::unique_ptr<Prepared>> Waypoint::PrepareFor(const Checkpoint& checkpoint,
                                                               const RawInput& input) {
  if (!input.text.empty() || !input.embedding.empty()) {
    return NotSupported("this world takes no prompts", "prompt");
  }
  auto scene = std::make_unique<Scene>();
  if (!input.image) return scene;
  const RgbImage& image = *input.image;
  if (image.width < 1 || image.height < 1 ||
      image.data.size() != size_t{3} * image.width * image.height) {
    return Invalid("BAD_IMAGE", "the picture has no pixels", "initial_image");
  }
  const Config& c = checkpoint.config;
  return OrNoMemory("a seed image", [&]() -> absl::StatusOr<std::unique_ptr<Prepared>> {
    std::vector<float> given(image.data.size());
    std::vector<float> picture(int64_t{c.decoded_height()} * c.decoded_width() * 3);
    std::vector<float> map(c.latent_size());
    FromBytes(image.data, given.data());
    Resize(given.data(), image.height, image.width, c.decoded_height(), c.decoded_width(),
           picture.data());
    checkpoint.encoder.Run(picture.data(), map.data());
    scene->latent.resize(c.latent_size());
    checkpoint.ToTokens(map.data(), scene->latent.data());
    return std::move(scene);
  });
}

absl::StatusOr<Journey> Waypoint::Begin(const Checkpoint& checkpoint, const SessionSpec& spec,
                                        WriteFrame write) {
  if (spec.state != nullptr) return LoadWorld(checkpoint, *spec.state, write);
  Journey journey;
  journey.seed = spec.seed;
  journey.history.resize(checkpoint.decoder.history_floats());
  if (spec.scene == nullptr) return journey;
  auto* scene = dynamic_cast<const Scene*>(spec.scene.get());
  if (scene == nullptr ||
      (!scene->latent.empty() && scene->latent.size() != size_t(checkpoint.config.latent_size()))) {
    return Invalid("BAD_SCENE", "the scene was not prepared by this model");
  }
  journey.scene = scene->latent;
  return journey;
}

absl::StatusOr<std::unique_ptr<Session>> Waypoint::NewSession(const SessionSpec& spec, Slot slot) {
  KvCache* cache = &caches_[slot.index()];
  absl::StatusOr<Journey> journey =
      Begin(*checkpoint_, spec, [&](int layer, int place, const float* frame) {
        std::copy_n(frame, cache->frame_floats(), cache->Frame(layer, place));
      });
  if (!journey.ok()) return journey.status();
  const bool scene_pending = spec.state == nullptr && !journey->scene.empty();
  return std::make_unique<WaypointSession>(*checkpoint_, *std::move(journey), scene_pending,
                                           std::move(slot), cache);
}

void Waypoint::Run(Stage stage, absl::Span<Session* const> batch, int,
                   absl::Span<absl::Status> statuses) {
  rows_.clear();
  running_.clear();
  if (stage == Stage::kPrefill) Prefill(batch);
  if (stage == Stage::kGenerate) Generate(batch, statuses);
  if (stage == Stage::kDecode) Decode(batch);
  if (stage == Stage::kCommit) Commit(batch);
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

void Waypoint::Generate(absl::Span<Session* const> batch, absl::Span<absl::Status> statuses) {
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
    statuses[i] = Mine(batch[i]).FinishPass(rows_[row].velocity);
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

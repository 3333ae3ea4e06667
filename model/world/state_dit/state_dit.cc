#include "model/world/state_dit/state_dit.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/no_memory.h"

namespace firstbyte::state_dit {
namespace {

WorldInfo WorldOf(const Config& config, const Rings& rings) {
  WorldInfo world;
  world.description = config.description;
  world.width = world.height = kPicture;
  world.frames_per_second = config.fps;
  world.frames_per_block = 1;
  world.keys = config.keys;
  world.pointer = true;
  world.prompt_dimensions = static_cast<int>(config.themes.size());
  const int64_t memory = kVideoTokens * config.latent_channels + config.audio_channels +
                         config.dit.events + kNoteSize + 20;
  world.state_bytes = rings.SavedBytes(config.dit.window) + 4 * memory * (config.dit.window + 1);
  return world;
}

ModelInfo InfoOf(const World& world, const LaneSize& size) {
  ModelInfo info = StateDit::Describe(world.config, size);
  info.version = world.version;
  return info;
}

}  // namespace

ModelInfo StateDit::Describe(const Config& config, const LaneSize& size) {
  const Rings rings(config.dit, /*slots=*/0);  // for its sizes
  ModelInfo info;
  info.name = config.name;
  info.sample_rate_hertz = config.sample_rate;
  info.samples_per_frame = config.samples_per_frame;
  info.world = WorldOf(config, rings);
  info.slots = size.slots;
  info.max_batch = size.max_batch;
  info.slot_bytes = rings.slot_bytes();
  return info;
}

absl::StatusOr<std::unique_ptr<StateDit>> StateDit::Create(std::shared_ptr<const World> world,
                                                           const LaneSize& size) {
  if (size.slots < 1 || size.max_batch < 1) {
    return Error(absl::StatusCode::kInvalidArgument, "BAD_LANE_SIZE",
                 "slots and batch must be positive");
  }
  return OrNoMemory(absl::StrCat(size.slots, " slots"), [&] {
    return absl::StatusOr<std::unique_ptr<StateDit>>(new StateDit(std::move(world), size));
  });
}

StateDit::StateDit(std::shared_ptr<const World> world, const LaneSize& size)
    : SlottedModel(size.slots),
      world_(std::move(world)),
      rings_(world_->config.dit, size.slots),
      info_(InfoOf(*world_, size)),
      dynamics_(world_->config, size.max_batch),
      views_(world_->config, size.max_batch),
      dit_(world_->config, size.max_batch),
      decoder_(world_->config, size.max_batch) {
  running_.reserve(size.max_batch);
  places_in_batch_.reserve(size.max_batch);
  moves_.reserve(size.max_batch);
  views_wanted_.reserve(size.max_batch);
  passes_.reserve(size.max_batch);
  latents_.reserve(size.max_batch);
}

absl::StatusOr<std::unique_ptr<Prepared>> StateDit::Prepare(const RawInput& input) const {
  return OrNoMemory("a seed image", [&] {
    return absl::StatusOr<std::unique_ptr<Prepared>>(PrepareScene(*world_, input));
  });
}

absl::StatusOr<std::unique_ptr<Session>> StateDit::NewSession(const SessionSpec& spec, Slot slot) {
  const auto* scene = dynamic_cast<const Scene*>(spec.scene.get());
  if (spec.state == nullptr && spec.scene != nullptr && scene == nullptr) {
    return Error(absl::StatusCode::kInvalidArgument, "BAD_SCENE", "not prepared by this model");
  }
  auto session = std::make_unique<WorldSession>(*world_, rings_, std::move(slot));
  if (spec.state != nullptr) {
    absl::Status restored = session->Restore(*spec.state);
    if (!restored.ok()) return restored;
  } else if (scene != nullptr) {
    session->Begin(*scene, spec.seed);
  } else {
    absl::StatusOr<std::unique_ptr<Scene>> start = PrepareScene(*world_, {});
    if (!start.ok()) return start.status();
    session->Begin(**start, spec.seed);
  }
  return session;
}

void StateDit::Choose(Stage stage, absl::Span<Session* const> batch) {
  running_.clear();
  places_in_batch_.clear();
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!CanRun(batch[i]->work(), stage)) continue;
    running_.push_back(static_cast<WorldSession*>(batch[i]));
    places_in_batch_.push_back(i);
  }
}

void StateDit::Run(Stage stage, absl::Span<Session* const> batch, int,
                   absl::Span<absl::Status> statuses) {
  Choose(stage, batch);
  if (running_.empty()) return;
  if (stage == Stage::kPrefill) Prefill();
  if (stage == Stage::kGenerate) Generate(statuses);
  if (stage == Stage::kDecode) Decode();
  if (stage == Stage::kCommit) Commit();
}

void StateDit::See() {
  views_wanted_.clear();
  for (WorldSession* session : running_) {
    if (session->WantsView()) views_wanted_.push_back(session->NextView());
  }
  if (views_wanted_.empty()) return;
  world_->renderer.See(views_wanted_, /*always=*/false, &views_);
  for (WorldSession* session : running_) {
    if (session->WantsView()) session->FinishView();
  }
}

void StateDit::GatherPasses() {
  passes_.clear();
  for (WorldSession* session : running_) passes_.push_back(session->NextPass());
}

// The seed frame, or one frame of a recache: about what a generate step costs.
void StateDit::Prefill() {
  See();
  Commit();
}

void StateDit::Generate(absl::Span<absl::Status> statuses) {
  moves_.clear();
  for (WorldSession* session : running_) {
    if (session->WantsMove()) moves_.push_back(session->NextMove());
  }
  if (!moves_.empty()) world_->dynamics.Advance(moves_, &dynamics_);
  See();
  GatherPasses();
  world_->dit.Denoise(passes_, rings_, &dit_);
  for (size_t i = 0; i < running_.size(); ++i) {
    statuses[places_in_batch_[i]] = running_[i]->FinishDenoise();
  }
}

void StateDit::Decode() {
  latents_.clear();
  for (WorldSession* session : running_) latents_.push_back(session->latents());
  world_->decoder.Run(latents_, &decoder_);
  for (size_t i = 0; i < running_.size(); ++i) {
    running_[i]->FinishDecode(decoder_.pixels.data() + i * kPicture * kPicture * 3);
  }
}

void StateDit::Commit() {
  GatherPasses();
  world_->dit.Commit(passes_, rings_, &dit_);
  for (WorldSession* session : running_) session->FinishCommit();
}

}  // namespace firstbyte::state_dit

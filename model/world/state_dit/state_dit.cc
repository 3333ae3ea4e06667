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
    return Invalid("BAD_LANE_SIZE", "slots and batch must be positive");
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
      steps_(*world_, size.max_batch),
      dit_(world_->config, size.max_batch),
      decoder_(world_->config, size.max_batch),
      step_(size.max_batch) {
  latents_.reserve(size.max_batch);
}

absl::StatusOr<std::unique_ptr<Prepared>> StateDit::PrepareFor(const World& world,
                                                               const RawInput& input) {
  return OrNoMemory("a seed image", [&] {
    return absl::StatusOr<std::unique_ptr<Prepared>>(PrepareScene(world, input));
  });
}

absl::StatusOr<std::unique_ptr<Prepared>> StateDit::Prepare(const RawInput& input) const {
  return PrepareFor(*world_, input);
}

absl::Status StateDit::Begin(const World& world, const SessionSpec& spec, WorldSession* session) {
  const auto* scene = dynamic_cast<const Scene*>(spec.scene.get());
  if (spec.scene != nullptr && scene == nullptr) {
    return Invalid("BAD_SCENE", "not prepared by this model");
  }
  if (scene != nullptr) return session->Begin(*scene, spec.seed), absl::OkStatus();
  absl::StatusOr<std::unique_ptr<Scene>> start = PrepareScene(world, {});
  if (!start.ok()) return start.status();
  session->Begin(**start, spec.seed);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Session>> StateDit::OpenSession(const World& world,
                                                               const RingMemory& rings,
                                                               const SessionSpec& spec, Slot slot) {
  auto session = std::make_unique<WorldSession>(world, rings, std::move(slot));
  absl::Status begun =
      spec.state != nullptr ? session->Restore(*spec.state) : Begin(world, spec, session.get());
  if (!begun.ok()) return begun;
  return session;
}

absl::StatusOr<std::unique_ptr<Session>> StateDit::NewSession(const SessionSpec& spec, Slot slot) {
  return OpenSession(*world_, rings_, spec, std::move(slot));
}

void StateDit::Decode() {
  latents_.clear();
  for (WorldSession* session : step_.running) latents_.push_back(session->latents());
  world_->decoder.Run(latents_, &decoder_);
  WorldSteps::FinishDecode(step_, decoder_.pixels.data());
}

void StateDit::Run(Stage stage, absl::Span<Session* const> batch, int,
                   absl::Span<absl::Status> statuses) {
  if (!WorldSteps::Choose(stage, batch, &step_)) return;
  if (stage == Stage::kDecode) return Decode();
  steps_.Fill(&step_);
  if (stage == Stage::kGenerate) {
    world_->dit.Denoise(step_.passes, rings_, &dit_);
  } else {
    world_->dit.Commit(step_.passes, rings_, &dit_);
  }
  WorldSteps::Finish(step_, statuses);
}

}  // namespace firstbyte::state_dit

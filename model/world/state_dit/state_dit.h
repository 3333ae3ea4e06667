// The state_dit family behind the contract of model/model.h: a first-person world on the CPU.
//
// An explicit learned state (place, heading, counters) moves by a small network, rays of a learned
// map say what can be seen, and a diffusion transformer with a ring of past frames draws what is
// there, from which a decoder makes the picture and the sound.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "model/slotted_model.h"
#include "model/world/state_dit/session.h"
#include "model/world/state_dit/world.h"
#include "model/world/state_dit/world_steps.h"

namespace firstbyte::state_dit {

struct LaneSize {
  int slots = 64;  // 1.5 MB each, once used
  int max_batch = 16;
};

class StateDit : public SlottedModel {
 public:
  // What a model of this config says of itself, but for its version.
  static ModelInfo Describe(const Config& config, const LaneSize& size);
  // Allocates the slots of one lane. kResourceExhausted when memory is short.
  static absl::StatusOr<std::unique_ptr<StateDit>> Create(std::shared_ptr<const World> world,
                                                          const LaneSize& size);

  // What is the same wherever its steps run.
  static absl::StatusOr<std::unique_ptr<Prepared>> PrepareFor(const World& world,
                                                              const RawInput& input);
  // As the spec says; `world` and `rings` outlive it.
  static absl::StatusOr<std::unique_ptr<Session>> OpenSession(const World& world,
                                                              const RingMemory& rings,
                                                              const SessionSpec& spec, Slot slot);

  const ModelInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const override;

 private:
  StateDit(std::shared_ptr<const World> world, const LaneSize& size);

  absl::StatusOr<std::unique_ptr<Session>> NewSession(const SessionSpec& spec, Slot slot) override;
  void Run(Stage stage, absl::Span<Session* const> batch, int frames,
           absl::Span<absl::Status> statuses) override;

  static absl::Status Begin(const World& world, const SessionSpec& spec, WorldSession* session);
  void Decode();

  const std::shared_ptr<const World> world_;
  Rings rings_;
  ModelInfo info_;
  WorldSteps steps_;
  Dit::Buffers dit_;
  Decoder::Buffers decoder_;
  WorldStep step_;
  std::vector<const float*> latents_;
};

}  // namespace firstbyte::state_dit

// The state_dit family behind the contract of model/model.h: a first-person world on the CPU.
//
// An explicit learned state (place, heading, counters) moves by a small network, rays of a learned
// map say what can be seen, and a diffusion transformer with a ring of past frames draws what is
// there, from which a decoder makes the picture and the sound.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/slotted_model.h"
#include "model/world/state_dit/session.h"
#include "model/world/state_dit/world.h"

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

  const ModelInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const override;

 private:
  StateDit(std::shared_ptr<const World> world, const LaneSize& size);

  absl::StatusOr<std::unique_ptr<Session>> NewSession(const SessionSpec& spec, Slot slot) override;
  void Run(Stage stage, absl::Span<Session* const> batch, int frames,
           absl::Span<absl::Status> statuses) override;
  void Prefill();
  void Generate(absl::Span<absl::Status> statuses);
  void Decode();
  void Commit();
  void See();  // of the sessions that are about to begin a frame
  void GatherPasses();
  // The sessions of the batch that have `stage` in their work() are running_ from here on.
  void Choose(Stage stage, absl::Span<Session* const> batch);

  const std::shared_ptr<const World> world_;
  Rings rings_;
  ModelInfo info_;
  Dynamics::Buffers dynamics_;
  Renderer::Buffers views_;
  Dit::Buffers dit_;
  Decoder::Buffers decoder_;
  std::vector<WorldSession*> running_;
  std::vector<size_t> places_in_batch_;  // of running_
  std::vector<MoveRow> moves_;
  std::vector<Renderer::Place> views_wanted_;
  std::vector<PassRow> passes_;
  std::vector<const float*> latents_;
};

}  // namespace firstbyte::state_dit

// Worlds of the Waypoint-1.5 layout behind the contract of model/model.h.
//
// A causal transformer over latent frames with two scales of memory, rectified-flow sampling in few
// Euler steps, and a small video autoencoder. One block is one latent frame: four pictures. What is
// read from a folder, and where the equations come from: checkpoint.h.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "model/slotted_model.h"
#include "model/world/waypoint/checkpoint.h"
#include "model/world/waypoint/session.h"

namespace firstbyte::waypoint {

struct LaneSize {
  int slots = 0;  // 0: what fits a gigabyte of caches, 1 to 16
  int max_batch = 4;
};

class Waypoint : public SlottedModel {
 public:
  // What a model of this config says of itself, but for its version and what its autoencoder adds
  // to a slot and to a saved state.
  static ModelInfo Describe(const Config& config, const LaneSize& size);
  // Allocates the slots of one lane. kResourceExhausted when memory is short.
  static absl::StatusOr<std::unique_ptr<Waypoint>> Create(
      std::shared_ptr<const Checkpoint> checkpoint, const LaneSize& size);

  const ModelInfo& info() const override { return info_; }
  // A picture of any size, resized; no prompts.
  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const override;

  // For the families' other engines. What a loaded model says of itself; Prepare(); how a session
  // begins, whose frames, if it goes on from a state, are given to `write`.
  static ModelInfo InfoOf(const Checkpoint& checkpoint, const LaneSize& size);
  static absl::StatusOr<std::unique_ptr<Prepared>> PrepareFor(const Checkpoint& checkpoint,
                                                              const RawInput& input);
  static absl::StatusOr<Journey> Begin(const Checkpoint& checkpoint, const SessionSpec& spec,
                                       WriteFrame write);

 private:
  Waypoint(std::shared_ptr<const Checkpoint> checkpoint, const LaneSize& size);

  absl::StatusOr<std::unique_ptr<Session>> NewSession(const SessionSpec& spec, Slot slot) override;
  void Run(Stage stage, absl::Span<Session* const> batch, int frames,
           absl::Span<absl::Status> statuses) override;
  void Prefill(absl::Span<Session* const> batch);
  void Generate(absl::Span<Session* const> batch, absl::Span<absl::Status> statuses);
  void Decode(absl::Span<Session* const> batch);
  void Commit(absl::Span<Session* const> batch);

  const std::shared_ptr<const Checkpoint> checkpoint_;
  ModelInfo info_;
  std::vector<KvCache> caches_;  // of the slots
  DitBuffers dit_;
  TaehvDecoder::Buffers decoder_;
  std::vector<float> velocities_;  // [max_batch, latent_size]
  std::vector<float> pictures_;    // [4, decoded height, decoded width, 3]
  std::vector<PassRow> rows_;      // of the step at hand
  std::vector<size_t> running_;    // indices into its batch
};

}  // namespace firstbyte::waypoint

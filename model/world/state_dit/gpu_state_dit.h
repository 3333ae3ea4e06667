// The state_dit family with its transformer on a GPU, where two steps may be under way; moves,
// views and pictures are made on the CPU. See state_dit.h and gpu_dit.h.
//
// Sessions cannot be saved yet, nor begin with a saved state (UNIMPLEMENTED).
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "model/overlapped_model.h"
#include "model/world/state_dit/gpu_dit.h"
#include "model/world/state_dit/state_dit.h"
#include "model/world/state_dit/world_steps.h"

namespace firstbyte::state_dit {

class GpuStateDit : public OverlappedModel {
 public:
  // `dit` is of `world`, with slots and batch of `size`; its device outlives the model.
  GpuStateDit(std::shared_ptr<const World> world, std::unique_ptr<GpuDit> dit,
              const LaneSize& size);

  const ModelInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const override;

 private:
  struct UnderWay {
    explicit UnderWay(int max_batch) : step(max_batch) {}
    WorldStep step;
    std::optional<Ticket> ticket;  // the device's; none for what the CPU does
  };

  absl::StatusOr<std::unique_ptr<Session>> NewSession(const SessionSpec& spec, Slot slot) override;
  absl::Status Start(const Step& step) override;
  absl::Status Read(const Step& step, absl::Span<absl::Status> statuses) override;

  const std::shared_ptr<const World> world_;
  const std::unique_ptr<GpuDit> dit_;
  const Rings no_rings_;  // the device has them
  ModelInfo info_;
  WorldSteps steps_;
  std::array<UnderWay, kStepsUnderWay> under_way_;  // by Step::place
};

}  // namespace firstbyte::state_dit

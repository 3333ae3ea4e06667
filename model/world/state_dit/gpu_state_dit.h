// The state_dit family with its transformer on a GPU, where two steps may be under way; moves,
// views and pictures are made on the CPU. See state_dit.h and gpu_dit.h.
//
// Sessions cannot be saved yet, nor begin with a saved state (UNIMPLEMENTED).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "model/cuda/gpu_options.h"
#include "model/overlapped_model.h"
#include "model/world/state_dit/gpu_dit.h"
#include "model/world/state_dit/state_dit.h"
#include "model/world/state_dit/world_steps.h"

namespace firstbyte::state_dit {

class GpuStateDit : public OverlappedModel {
 public:
  static constexpr char kFamily[] = "state_dit";
  static constexpr cuda::Number kNumbers[] = {cuda::Number::kF32, cuda::Number::kTf32};

  // What a model of this config says of itself, but for its version.
  static ModelInfo Describe(const Config& config, const LaneSize& size);
  // `world` was loaded from `folder`, whose weights are read again. Errors are those of cuda/gpu.h
  // and of a damaged folder.
  static absl::StatusOr<std::unique_ptr<GpuStateDit>> Create(std::shared_ptr<const World> world,
                                                             const std::string& folder,
                                                             std::unique_ptr<cuda::Gpu> gpu,
                                                             const LaneSize& size,
                                                             const cuda::GpuOptions& options);

  const ModelInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const override;

 private:
  struct UnderWay {
    explicit UnderWay(int max_batch) : step(max_batch) {}
    WorldStep step;
    std::optional<Ticket> ticket;  // the device's; none for what the CPU does
  };

  GpuStateDit(std::shared_ptr<const World> world, std::unique_ptr<cuda::Gpu> gpu,
              const LaneSize& size);
  absl::Status Load(const std::string& folder, const cuda::GpuOptions& options);
  absl::StatusOr<std::unique_ptr<Session>> NewSession(const SessionSpec& spec, Slot slot) override;
  absl::Status Start(const Step& step) override;
  absl::Status Read(const Step& step, absl::Span<absl::Status> statuses) override;

  const std::shared_ptr<const World> world_;
  const std::unique_ptr<cuda::Gpu> gpu_;
  ModelInfo info_;
  std::unique_ptr<GpuDit> dit_;
  const Rings no_rings_;  // the device has them
  WorldSteps steps_;
  std::array<UnderWay, kStepsUnderWay> under_way_;  // by Step::place
};

}  // namespace firstbyte::state_dit

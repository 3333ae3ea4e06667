// The state_dit family with its transformer and its decoder on a GPU, where two steps may be under
// way; what is small, moves, views and sound, is made on the CPU. See state_dit.h, gpu_dit.h and
// gpu_decoder.h.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/cuda/gpu_options.h"
#include "model/overlapped_model.h"
#include "model/world/state_dit/gpu_decoder.h"
#include "model/world/state_dit/gpu_dit.h"
#include "model/world/state_dit/gpu_rings.h"
#include "model/world/state_dit/state_dit.h"
#include "model/world/state_dit/world_steps.h"

namespace firstbyte::state_dit {

// What a GPU does at once, where nobody says otherwise; the registry takes fewer slots where they
// do not fit.
struct GpuLaneSize : LaneSize {
  GpuLaneSize() : LaneSize{.slots = 2048, .max_batch = 64} {}
};

class GpuStateDit : public OverlappedModel {
 public:
  static constexpr char kFamily[] = "state_dit";
  // In half floats the transformer and the rings are; the decoder then multiplies in TF32.
  static constexpr cuda::Number kNumbers[] = {cuda::Number::kF32, cuda::Number::kTf32,
                                              cuda::Number::kF16, cuda::Number::kBf16};

  // What a model of this config says of itself, but for its version; slot_bytes are those of rings
  // of floats.
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
    explicit UnderWay(int max_batch);
    WorldStep step;
    std::vector<float> pixels;                  // [max_batch, 64, 64, 3]
    std::vector<GpuDecoder::Picture> pictures;  // of a decode, into these
    Ticket ticket = 0;                          // the device's
  };

  GpuStateDit(std::shared_ptr<const World> world, std::unique_ptr<cuda::Gpu> gpu,
              const LaneSize& size, cuda::Number number);
  absl::Status Load(const std::string& folder, const cuda::GpuOptions& options);
  absl::Status LoadStages(const cuda::GpuOptions& options, nn::WeightLoader* weights);
  absl::StatusOr<std::unique_ptr<Session>> NewSession(const SessionSpec& spec, Slot slot) override;
  absl::StatusOr<Ticket> StartPass(UnderWay* mine);
  absl::StatusOr<Ticket> StartDecode(UnderWay* mine);
  absl::Status Start(const Step& step) override;
  absl::Status Read(const Step& step, absl::Span<absl::Status> statuses) override;

  const std::shared_ptr<const World> world_;
  const std::unique_ptr<cuda::Gpu> gpu_;
  ModelInfo info_;
  std::unique_ptr<GpuDit> dit_;
  std::unique_ptr<GpuDecoder> decoder_;
  std::unique_ptr<GpuRings> rings_;
  WorldSteps steps_;
  std::array<UnderWay, kStepsUnderWay> under_way_;  // by Step::place
};

}  // namespace firstbyte::state_dit

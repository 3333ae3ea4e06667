// The aligned_mel family on a GPU, where two steps may be under way; see aligned_mel.h,
// gpu_acoustic.h and gpu_vocoder.h.
//
// In half precision and bfloat16 the acoustic model's blocks are; the vocoder then has TF32.
//
// Of a prefill, durations are left, which the CPU makes when it is submitted: some 30 rows of a
// small network for a clause. Conditions are made with the frames.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/cuda/gpu_options.h"
#include "model/overlapped_model.h"
#include "model/speech/aligned_mel/aligned_mel.h"
#include "model/speech/aligned_mel/gpu_acoustic.h"
#include "model/speech/aligned_mel/gpu_vocoder.h"

namespace firstbyte::aligned_mel {

// What a GPU does at once, where nobody says otherwise; the registry takes fewer slots where they
// do not fit. 270 kB each with the embedded voice.
struct GpuLaneSize : LaneSize {
  GpuLaneSize() : LaneSize{.slots = 4096, .max_batch = 256} {}
};

class GpuAlignedMel : public OverlappedModel {
 public:
  static constexpr char kFamily[] = "aligned_mel";
  static constexpr cuda::Number kNumbers[] = {cuda::Number::kF32, cuda::Number::kTf32,
                                              cuda::Number::kF16, cuda::Number::kBf16};

  // What a model of this config says of itself, but for its version; slot_bytes are those of caches
  // of floats.
  static ModelInfo Describe(const Config& config, const LaneSize& size);
  // `voice` was loaded from `folder`, whose weights are read again. Errors are those of cuda/gpu.h
  // and of a damaged folder.
  static absl::StatusOr<std::unique_ptr<GpuAlignedMel>> Create(std::shared_ptr<const Voice> voice,
                                                               const std::string& folder,
                                                               std::unique_ptr<cuda::Gpu> gpu,
                                                               const LaneSize& size,
                                                               const cuda::GpuOptions& options);

  const ModelInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const override;

 private:
  struct UnderWay {
    std::vector<GpuAcoustic::Row> frames;
    Ticket generated = 0;
    std::vector<DecodeRow> chunks;
    GpuVocoder::Started decoded{};
    std::vector<absl::Status> prefilled;
  };

  GpuAlignedMel(std::shared_ptr<const Voice> voice, std::unique_ptr<cuda::Gpu> gpu,
                const LaneSize& size, cuda::Number number);
  absl::Status Load(const std::string& folder, const cuda::GpuOptions& options);
  absl::StatusOr<std::unique_ptr<Session>> NewSession(const SessionSpec& spec, Slot slot) override;
  absl::Status Start(const Step& step) override;
  absl::Status Read(const Step& step, absl::Span<absl::Status> statuses) override;

  const std::shared_ptr<const Voice> voice_;
  const std::unique_ptr<cuda::Gpu> gpu_;
  ModelInfo info_;
  DurationModel::Buffers durations_;
  std::array<UnderWay, kStepsUnderWay> under_way_;  // by Step::place
  std::unique_ptr<GpuAcoustic> acoustic_;
  std::unique_ptr<GpuVocoder> vocoder_;
};

}  // namespace firstbyte::aligned_mel

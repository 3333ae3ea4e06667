// The aligned_mel family behind the contract of model/model.h.
//
// Phones and durations drive the frames (so it cannot skip, repeat or drift), an autoregressive
// acoustic model of 25 frames/s makes mel spectra and pitch, and a causal source-filter vocoder
// makes samples of 16 kHz.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "model/io/front_end.h"
#include "model/slotted_model.h"
#include "model/speech/aligned_mel/session.h"
#include "model/speech/aligned_mel/voice.h"

namespace firstbyte::aligned_mel {

struct LaneSize {
  int slots = 512;  // 460 kB each, once used
  int max_batch = 64;
};

class AlignedMel : public SlottedModel {
 public:
  // What a model of this config says of itself, but for its version.
  static ModelInfo Describe(const Config& config, const LaneSize& size);
  // kInvalidArgument (BAD_LANE_SIZE) for what no lane can have.
  static absl::Status Check(const LaneSize& size);
  // What Prepare() does, of any model of this voice.
  static absl::StatusOr<std::unique_ptr<Prepared>> PrepareFor(const Voice& voice,
                                                              const RawInput& input);
  // Allocates the slots of one lane. kResourceExhausted when memory is short.
  static absl::StatusOr<std::unique_ptr<AlignedMel>> Create(std::shared_ptr<const Voice> voice,
                                                            const LaneSize& size);

  const ModelInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const override;

 private:
  AlignedMel(std::shared_ptr<const Voice> voice, const LaneSize& size);

  absl::StatusOr<std::unique_ptr<Session>> NewSession(const SessionSpec& spec, Slot slot) override;
  void Run(Stage stage, absl::Span<Session* const> batch, int frames,
           absl::Span<absl::Status> statuses) override;
  void Prefill(absl::Span<Session* const> batch, absl::Span<absl::Status> statuses);
  void Generate(absl::Span<Session* const> batch, absl::Span<absl::Status> statuses);
  void Decode(absl::Span<Session* const> batch, int frames);

  const std::shared_ptr<const Voice> voice_;
  ModelInfo info_;
  DurationModel::Buffers durations_;
  Conditioner::Buffers conditions_;
  AcousticBuffers acoustic_;
  Vocoder::Buffers vocoder_;
  std::vector<FrameRow> frame_rows_;
  std::vector<DecodeRow> decode_rows_;
  std::vector<size_t> running_;  // indices into the batch at hand
};

}  // namespace firstbyte::aligned_mel

// The acoustic model of acoustic.h on a GPU: the same frames, with the caches of all slots in
// device memory. What a frame must say is conditioned with it (conditioner.h), not ahead of it.
//
// What a step gives lies within rounding of the CPU's: of the number that the blocks multiply in,
// whose caches and activations follow; what stands before them is floats. Used by its lane's thread
// only; errors are those of cuda/gpu.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/gpu_llama.h"
#include "model/cuda/gpu_stage.h"
#include "model/speech/aligned_mel/acoustic.h"
#include "model/speech/aligned_mel/clause.h"
#include "model/speech/aligned_mel/conditioner.h"

namespace firstbyte::aligned_mel {

class GpuAcoustic {
 public:
  struct Size {
    int slots, max_batch;
    cuda::GraphMode mode = cuda::GraphMode::kGraphs;
    cuda::Number number = cuda::Number::kF32;
  };

  // One stream's part in a step. `frame.condition` is not used.
  struct Row {
    FrameRow frame;
    PhoneSpan clause;
    const Ends* ends;
    double stretch;
  };

  // Copies the weights, allocates the caches and records the graphs. `gpu` and `conditioner`,
  // which is the CPU's and describes frames, outlive the model. The weights' own errors are in
  // weights->status().
  static absl::StatusOr<std::unique_ptr<GpuAcoustic>> Create(cuda::Gpu* gpu,
                                                             const AcousticConfig& config,
                                                             const Conditioner& conditioner,
                                                             nn::WeightLoader* weights,
                                                             const Size& size);

  // Starts a step; at most two are under way. What rows point to is read before it returns, but for
  // `out`, which Finish() writes.
  absl::StatusOr<Ticket> Step(absl::Span<const Row> rows);
  // Waits for the step, of the rows it was given.
  absl::Status Finish(Ticket ticket, absl::Span<const Row> rows);

 private:
  // Places in the memory that a step is filled into, in bytes.
  struct Inputs {
    Inputs(const Conditioner& conditioner, const Size& size);
    int mel_width;
    int64_t positions;  // [slots] int64: of the frame in its clause
    int64_t places;     // [slots] int32: where in the ring it goes
    int64_t lengths;    // [slots] int32: frames that it sees
    int64_t feedback;   // [rows, kFrameFeatures] floats
    int64_t mels;       // [rows, kStack, mel_width] floats: what it must say
    int64_t bytes;
  };

  GpuAcoustic(cuda::Gpu* gpu, const AcousticConfig& config, const Conditioner& conditioner,
              const Size& size);
  absl::Status Load(nn::WeightLoader* weights);
  absl::Status LoadBlocks(nn::WeightLoader* weights);
  template <typename T>
  absl::Status LoadBlocksOf(nn::WeightLoader* weights);
  absl::StatusOr<cuda::LlamaBlockWeights> LoadBlock(int index, nn::WeightLoader* weights) const;
  absl::Status Allocate();
  absl::Status OpenStage();
  void Fill(absl::Span<const Row> rows, char* inputs) const;
  absl::Status Body(const cuda::GpuStage::Step& step) const;
  absl::Status RunBlocks(const cuda::GpuStage::Step& step) const;
  float* x() const;  // of the blocks

  cuda::Gpu* const gpu_;
  const AcousticConfig config_;
  const Conditioner& conditioner_;
  const Size size_;
  const Inputs inputs_;
  cuda::GpuLinear first_, second_, condition_;  // of the conditioner
  cuda::GpuLinear feedback_down_, feedback_up_, head_;
  // Between them: [max_batch * kStack] rows of the first two, [max_batch] of the last.
  cuda::DeviceArray<float> firsts_, seconds_, feedback_;
  std::variant<std::unique_ptr<cuda::GpuLlama<float>>, std::unique_ptr<cuda::GpuLlama<cuda::Bf16>>,
               std::unique_ptr<cuda::GpuLlama<cuda::F16>>>
      blocks_;
  std::unique_ptr<cuda::GpuStage> stage_;  // goes first
};

}  // namespace firstbyte::aligned_mel

// The diffusion transformer of dit.h on a GPU: the same passes of the same rows, with the rings of
// all slots in device memory.
//
// What a pass gives lies within rounding of the CPU's: of the number that tokens are multiplied in.
// What a pass is told (facts, sigma) and what it adds up stay in float. Used by its lane's thread
// only; errors are those of cuda/gpu.h.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/gpu_linear.h"
#include "model/cuda/gpu_stage.h"
#include "model/world/state_dit/dit.h"

namespace firstbyte::state_dit {

class GpuDit {
 public:
  struct Size {
    int slots, max_batch;
    cuda::GraphMode mode = cuda::GraphMode::kGraphs;
    cuda::Number number = cuda::Number::kF32;  // of products; rings and activations follow
  };

  // Copies the weights, allocates the rings and records the graphs. `gpu` and `dit`, which is the
  // CPU's and describes rows, outlive it. The weights' own errors are in weights->status().
  static absl::StatusOr<std::unique_ptr<GpuDit>> Create(cuda::Gpu* gpu, const Config& config,
                                                        const Dit& dit, nn::WeightLoader* weights,
                                                        const Size& size);

  // Start a pass; at most two of a kind are under way. What rows point to is read before they
  // return, but for outputs and estimates, which Finish() needs.
  absl::StatusOr<Ticket> Denoise(absl::Span<const PassRow> rows);
  absl::StatusOr<Ticket> Commit(absl::Span<const PassRow> rows);
  // Waits for a pass, of the rows it was given, and writes their outputs; a commit has none.
  absl::Status FinishDenoise(Ticket ticket, absl::Span<const PassRow> rows);
  absl::Status FinishCommit(Ticket ticket);

  // The rings on the device: of a layer [slots, heads, capacity() tokens, 64] of number().
  char* keys(int layer) const { return blocks_[layer].keys.get(); }
  char* values(int layer) const { return blocks_[layer].values.get(); }
  int capacity() const { return capacity_; }
  cuda::Number number() const { return size_.number; }

 private:
  // Places in the memory that a pass is filled into, in bytes.
  struct Inputs {
    Inputs(const Config& config, const Size& size);
    int token_width, facts_width;
    int64_t tokens;     // [rows * 18, token_width] floats: what each token is made of
    int64_t facts;      // [rows, facts_width] floats
    int64_t positions;  // [slots] int64: number of the frame
    int64_t places;     // [slots] int32: where in the ring the pass writes
    int64_t kept;       // [slots] int32: where a commit leaves the frame
    int64_t lengths;    // [slots] int32: keys that are seen
    int64_t bytes;
  };
  struct Block {
    cuda::GpuLinear modulation, qkv, out, up, down;
    cuda::DeviceArray<float> query_gain, key_gain;
    cuda::DeviceArray<char> keys, values;  // of size_.number
    cuda::DeviceArray<float> modulated;    // [max_batch, 6 * width]
  };

  GpuDit(cuda::Gpu* gpu, const Config& config, const Dit& dit, const Size& size);
  absl::Status Load(nn::WeightLoader* weights);
  absl::Status LoadEnds(nn::WeightLoader* weights);
  absl::Status LoadBlock(int index, nn::WeightLoader* weights);
  absl::Status LoadAngles();
  cuda::Number told_number() const;  // of products of what a pass is told
  absl::Status Allocate();
  absl::Status OpenStages();
  absl::Status Linear(nn::WeightLoader* weights, const std::string& name, nn::Bias bias,
                      cuda::GpuLinear::Shape shape, cuda::GpuLinear* linear) const;

  void Fill(absl::Span<const PassRow> rows, char* inputs) const;
  void FillTokens(const PassRow& row, const float* facts, float* tokens) const;
  absl::StatusOr<Ticket> Submit(cuda::GpuStage* stage, absl::Span<const PassRow> rows);
  absl::Status Body(const cuda::GpuStage::Step& step, bool commit) const;
  absl::Status Condition(const cuda::GpuStage::Step& step) const;
  absl::Status Layer(int index, const cuda::GpuStage::Step& step, bool commit) const;
  absl::Status Heads(const Block& block, const cuda::GpuStage::Step& step, int64_t places) const;
  absl::Status Attend(const Block& block, const cuda::GpuStage::Step& step) const;
  // x += gate * branch, unless there is no gate; then normed = x by `shift` and the scale behind
  // it.
  absl::Status Modulate(const cuda::GpuStage::Step& step, const float* gate,
                        const float* shift) const;

  cuda::Gpu* const gpu_;
  const Config config_;
  const Dit& dit_;
  const Size size_;
  const Inputs inputs_;
  const int capacity_;  // tokens of a ring: the window and the frame being made
  cuda::GpuLinear condition_in_, condition_out_, embed_, final_, out_, note_past_;
  std::vector<Block> blocks_;
  cuda::DeviceArray<double> frequencies_;
  cuda::DeviceArray<float> offsets_;
  cuda::DeviceArray<float> hidden_, condition_, final_modulated_, x_, extremes_, partials_;
  cuda::DeviceArray<char> normed_, qkv_, attended_, branch_, mlp_;  // of size_.number
  std::unique_ptr<cuda::GpuStage> denoise_, commit_;                // go first
};

}  // namespace firstbyte::state_dit

// The autoregressive acoustic model: one frame (4 mel frames, 40 ms) a step, batched over slots.
//
// Llama blocks over a ring of the last `sliding_window` frames. The weights are immutable; what a
// step changes is in AcousticBuffers: the slots' caches and the step's workspace.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "model/nn/weight_loader.h"
#include "model/speech/aligned_mel/config.h"

namespace firstbyte::aligned_mel {

// One stream's part in a step.
struct FrameRow {
  const float* condition;  // [hidden], of this frame
  const float* feedback;   // [kFrameFeatures], the frame before; zeros before a clause's first
  int slot;                // whose cache; no two rows of a step may share one
  int position;            // of the frame in its clause, from 0; 0 forgets what the slot held
  float* out;              // [kFrameFeatures]: z-scored features; may be `feedback`
};

// Made once for a lane. About 262 kB a slot with the embedded voice.
struct AcousticBuffers {
  AcousticBuffers(const AcousticConfig& config, int slots, int max_batch);

  float* Keys(int slot, int layer) const { return caches.data() + Ring(slot, layer, 0); }
  float* Values(int slot, int layer) const { return caches.data() + Ring(slot, layer, 1); }

  int max_batch;
  nn::Tensor caches;  // [slots, layers, 2, heads * 64 * window]
  nn::Tensor feedback, feedback_hidden, x, normed, qkv, attended, gate_up, mlp, features;
  nn::Tensor cosines, sines;  // [max_batch, 32]
  std::vector<int32_t> positions;
  std::vector<float*> key_rings, value_rings;  // [max_batch] of the layer at hand

 private:
  int64_t Ring(int slot, int layer, int which) const {
    return ((static_cast<int64_t>(slot) * layers_ + layer) * 2 + which) * ring_;
  }
  int layers_;
  int64_t ring_;
};

class AcousticModel {
 public:
  AcousticModel() = default;
  AcousticModel(const AcousticConfig& config, const nn::KernelTable& kernels,
                nn::WeightLoader* weights);

  // Computes rows.size() <= max_batch frames. A row's result depends on that row alone.
  void Step(absl::Span<const FrameRow> rows, AcousticBuffers* buffers) const;

 private:
  struct Block {
    nn::RmsNorm attention_norm, mlp_norm;
    nn::Linear qkv, attention_out, gate_up, down;
  };

  Block LoadBlock(int index, nn::WeightLoader* weights) const;
  void RunBlock(int index, absl::Span<const FrameRow> rows, AcousticBuffers* buffers) const;

  const nn::KernelTable* kernels_ = nullptr;
  AcousticConfig config_{};
  double frequencies_[kernels::kHeadDim / 2] = {};
  nn::Linear feedback_down_, feedback_up_, head_;
  std::vector<Block> blocks_;
  nn::RmsNorm norm_;
};

}  // namespace firstbyte::aligned_mel

// The transformer: one pass of it over the latents of several sessions at once.
//
//   x += g0 * attention(rms(x) (1 + s0) + b0)            s, b, g: of the noise level and the layer
//   x += W2 silu(Wx rms(x) + Wc rms(control))            every third layer
//   x += g1 * W2 silu(W1 (rms(x) (1 + s1) + b1))
//
// Latents are in token order, [tokens, channels * patch height * patch width], so that cutting them
// into patches and putting them together are matrix products. Weights are immutable, so
// thread-safe on distinct buffers; what is remembered between frames is in the sessions' caches.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "model/nn/weight_loader.h"
#include "model/world/waypoint/attention.h"
#include "model/world/waypoint/conditioning.h"
#include "model/world/waypoint/rope.h"

namespace firstbyte::waypoint {

enum class Pass {
  kDenoise,  // makes velocities; the caches keep nothing of it
  kCommit,   // at sigma 0: the caches keep the frame; no velocity
};

// One session's part in a pass. Sessions of a pass may be at different noise levels and frames.
struct PassRow {
  const float* latent;    // [tokens, token_latents]
  const float* controls;  // [2 + n_buttons + 1]: pointer, buttons, sign of scroll
  int64_t frame;          // latent frames since the world's beginning
  int sigma;              // index into the scheduler's sigmas; the last one for kCommit
  int slot;               // of the session; no two rows may share one
  KvCache* cache;         // the slot's
  float* velocity;        // [tokens, token_latents], for kDenoise
};

// Workspace of a lane, for at most `max_batch` rows.
struct DitBuffers {
  DitBuffers(const Config& config, int max_batch);

  int max_batch;
  nn::Tensor x, normed, qkv, first_v, attended, hidden;  // [max_batch * tokens, ...]
  nn::Tensor cosines, sines;                             // [max_batch, tokens, head_dim / 2]
  nn::Tensor controls, control_hidden, control, fused;   // [max_batch, ...]
  Attention::Buffers attention;
  std::vector<const float*> seen;
};

class Dit {
 public:
  Dit() = default;
  Dit(const Config& config, const SafeTensors& file, const nn::KernelTable& kernels,
      nn::WeightLoader* weights);

  // A row's result depends on that row alone.
  void Run(Pass pass, absl::Span<const PassRow> rows, DitBuffers* buffers) const;

  // The parts of Run(): tokens, angles and controls into the buffers; one layer of buffers->x;
  // velocities out of buffers->x.
  void Embed(absl::Span<const PassRow> rows, DitBuffers* buffers) const;
  void RunLayer(int layer, Pass pass, absl::Span<const PassRow> rows, DitBuffers* buffers) const;
  void Project(absl::Span<const PassRow> rows, DitBuffers* buffers) const;

  const Conditioning& conditioning() const { return conditioning_; }

 private:
  struct Fusion {
    nn::Linear x, control, out;
  };
  struct Layer {
    nn::Linear qkv, attention_out, fc1, fc2;
    float v_lamb = 0;
    std::optional<Fusion> fusion;
  };

  Layer LoadLayer(int index, nn::WeightLoader* weights) const;
  void Modulated(int layer, int first, absl::Span<const PassRow> rows, DitBuffers* buffers) const;
  void AddGatedRows(int layer, int gate, absl::Span<const PassRow> rows, const float* from,
                    DitBuffers* buffers) const;
  void MakeQkv(int layer, int rows, DitBuffers* buffers) const;
  void Attend(int layer, Pass pass, absl::Span<const PassRow> rows, DitBuffers* buffers) const;
  void Fuse(const Fusion& fusion, int rows, DitBuffers* buffers) const;
  int Tokens(absl::Span<const PassRow> rows) const;

  const nn::KernelTable* kernels_ = nullptr;
  Config config_{};
  Conditioning conditioning_;
  OrthoRope rope_;
  Attention attention_;
  nn::RmsNorm norm_, head_norm_;
  nn::Linear patchify_, unpatchify_, control1_, control2_;
  std::vector<Layer> layers_;
};

}  // namespace firstbyte::waypoint

// The diffusion transformer: one pass over the 18 tokens of one frame, batched over sessions.
//
// Sixteen video tokens, one of sound, one of the state, which also makes the frame's note. They see
// each other and the frames in their session's ring. Weights are immutable; what a pass changes is
// in Rings and Dit::Buffers.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "model/world/state_dit/features.h"
#include "model/world/state_dit/rings.h"

namespace firstbyte::state_dit {

// What a frame is conditioned on, besides sigma and the theme.
struct FrameFacts {
  State before{}, after{};
  Action action{};
  std::vector<float> events;  // [DitConfig::events]: noise for what chance decides
};

// One session's part in a pass.
struct PassRow {
  const FrameFacts* facts;
  float sigma;
  int theme;
  int64_t frame;          // its number, for the rotary positions
  const float* video;     // [16, latent_channels]
  const float* audio;     // [audio_channels]
  const Note* note;       // the one carried along, until the frame has its own
  const float* estimate;  // [16, latent_channels]
  const float* columns;   // [4, column_features()]
  int slot;               // whose ring; no two rows of a pass may share one
  RingIndex ring;
  float* video_out;  // [16, latent_channels], may be `video`
  float* audio_out;  // [audio_channels], may be `audio`
  Note* note_out;    // as predicted; see Settled()
};

class Dit {
 public:
  struct Buffers {
    Buffers(const Config& config, int max_batch);
    // What Fill() writes, a row for each session of the pass; estimates and audio become results.
    nn::Tensor facts, latents, estimates, columns, audio;
    std::vector<int64_t> frames;
    std::vector<int32_t> slots, valid, next;  // of the ring: RingIndex's
    // What the body makes.
    nn::Tensor notes;  // a result, too
    nn::Tensor hidden, condition, modulation;
    nn::Tensor video_rows, ray_rows, audio_rows, state_rows;
    nn::Tensor x, normed, qkv, attended, branch, mlp, scores, cosines, sines;
    std::vector<float*> keys, values;
    std::vector<int32_t> places, lengths;
  };

  Dit() = default;
  Dit(const Config& config, const nn::KernelTable& kernels, nn::WeightLoader* weights);

  // Predicts clean latents, sound and the note. The rings' committed frames stay as they are.
  void Denoise(absl::Span<const PassRow> rows, const Rings& rings, Buffers* buffers) const;
  // Writes the frame into its ring at `ring.next()`; outputs are not made. The caller counts.
  void Commit(absl::Span<const PassRow> rows, const Rings& rings, Buffers* buffers) const;

  // What a frame is conditioned on: out [FactsSize()].
  void Describe(const PassRow& row, float* out) const;
  static int FactsSize(const Config& config);

 private:
  struct Block {
    nn::Linear modulation, qkv, out, up, down;
    std::vector<float> query_gain, key_gain;  // [64]
  };

  Block LoadBlock(int index, nn::WeightLoader* weights) const;
  // A pass in three parts (DESIGN.md, "The GPU"): the body, Predict() or Write(), knows no session
  // but by the `n` rows that Fill() wrote.
  void Fill(absl::Span<const PassRow> rows, Buffers* b) const;
  void Predict(int n, const Rings& rings, Buffers* b) const;
  void Write(int n, const Rings& rings, Buffers* b) const;
  void Read(absl::Span<const PassRow> rows, const Buffers& b) const;

  void Embed(int n, Buffers* b) const;
  void Positions(int n, Buffers* b) const;
  void Attend(int layer, int n, const Rings& rings, bool keys_only, Buffers* b) const;
  void Mlp(const Block& block, int sessions, Buffers* b) const;
  void Head(int n, Buffers* b) const;

  const nn::KernelTable* kernels_ = nullptr;
  Config config_{};
  std::vector<double> time_speeds_;  // radians a frame
  // [18, 32]: where rows and columns turn; 1 and 0 for the pairs of time.
  std::vector<float> place_cosines_, place_sines_;
  nn::Linear condition_in_, condition_out_, video_in_, estimate_in_, rays_in_, audio_in_, state_in_;
  std::vector<float> tokens_;  // [18, width]
  std::vector<Block> blocks_;
  nn::Linear final_, video_out_, audio_out_, note_out_, note_past_;
};

}  // namespace firstbyte::state_dit

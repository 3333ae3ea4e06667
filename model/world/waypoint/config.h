// config.yaml of a Waypoint-1.5 world, checked.
//
// The keys are those of the published checkpoints. What this engine does not implement (another
// RoPE, experts, gates, text prompts) is refused by name, so that a folder either plays as its
// authors meant or not at all.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/world/waypoint/ring.h"

namespace firstbyte::waypoint {

// Fixed by the architecture.
inline constexpr int kFourierSize = 512;  // features of sigma
inline constexpr int kMaxHeadDim = 256;
inline constexpr int kModulations = 6;       // scale, shift, gate of attention, then of the MLP
inline constexpr int kFramesPerLatent = 4;   // pictures the autoencoder makes of a latent frame
inline constexpr int kPixelsPerLatent = 16;  // width and height of a latent cell in pixels

struct Config {
  std::string name;               // the folder's, unless the key "name" says otherwise
  int channels;                   // of a latent
  int height, width;              // tokens of a frame
  int patch_height, patch_width;  // latent cells of a token
  int n_layers, d_model, n_heads, n_kv_heads, mlp_ratio;
  int local_window, global_window, global_pinned_dilation;  // frames
  int global_attn_period, global_attn_offset;
  int ctrl_conditioning_period, n_buttons;
  double rope_nyquist_frac, rope_theta;
  int base_fps, inference_fps;
  std::vector<double> scheduler_sigmas;  // falling, the last 0
  bool auto_aspect_ratio;                // pictures are 16:9, resized from what the decoder makes
  // The released implementation keeps sigmas, their differences and the tables made of them in
  // bfloat16, which changes two of the four steps. Off by default: we compute what was trained.
  bool reference_compat;

  int tokens() const { return height * width; }
  int token_latents() const { return channels * patch_height * patch_width; }
  int latent_height() const { return height * patch_height; }
  int latent_width() const { return width * patch_width; }
  int latent_size() const { return tokens() * token_latents(); }
  int head_dim() const { return d_model / n_heads; }
  int kv_size() const { return n_kv_heads * head_dim(); }
  int controls() const { return 2 + n_buttons + 1; }
  int sigmas() const { return static_cast<int>(scheduler_sigmas.size()); }
  int passes() const { return sigmas() - 1; }  // denoise passes of a frame
  // Time positions that a latent frame advances.
  int time_stride() const { return base_fps * kFramesPerLatent / inference_fps; }
  bool is_global(int layer) const;
  bool has_control(int layer) const { return layer % ctrl_conditioning_period == 0; }
  Ring local_ring() const { return {local_window, 1}; }
  Ring global_ring() const {
    return {global_window / global_pinned_dilation, global_pinned_dilation};
  }
  Ring ring(int layer) const { return is_global(layer) ? global_ring() : local_ring(); }
  // Pictures: what the autoencoder makes, and what players see.
  int decoded_height() const { return latent_height() * kPixelsPerLatent; }
  int decoded_width() const { return latent_width() * kPixelsPerLatent; }
  int picture_height() const;
  int picture_width() const;
};

// INVALID_ARGUMENT (BAD_CONFIG) names the key that is missing, of the wrong type or out of range.
// `folder_name` is the model's name if the text has none.
absl::StatusOr<Config> ParseConfig(const std::string& yaml, absl::string_view folder_name);
// The same of a folder's config.yaml; also NOT_FOUND.
absl::StatusOr<Config> ReadConfig(const std::string& folder);

}  // namespace firstbyte::waypoint

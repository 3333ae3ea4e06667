// config.json of a state_dit world, checked.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace firstbyte::state_dit {

// Fixed by the architecture; a config.json that says otherwise is refused.
inline constexpr int kKeys = 6;                   // a player's keys, in the order of Config::keys
inline constexpr int kActionSize = kKeys + 1;     // and the pointer's movement to the right
inline constexpr int kDiscrete = 3;               // step counter, collision, bump cooldown
inline constexpr int kStateSize = 3 + kDiscrete;  // x, y (cells), heading (radians), then those
inline constexpr int kNoteSize = 6;               // there, place, speed, ticks out of sight
inline constexpr int kLatentSide = 4;             // a frame's latents are 4 x 4
inline constexpr int kVideoTokens = kLatentSide * kLatentSide;
inline constexpr int kTokens = kVideoTokens + 2;  // audio, state
inline constexpr int kPicture = 64;               // pixels, both ways

struct DynamicsConfig {
  int width, layers, frequencies, headings, grid, channels;
  double lowest, highest;  // cycles a cell
  double move, turn;       // cells and radians that an output of 1 means
  double low, high;        // positions are kept within
};

struct RaysConfig {
  int count, beyond;  // rays; how many of them lie outside the picture on either side
  int samples, density, grid, channels, headings, hidden, features;
  double half_tangent, near, far, power, before, behind;
  std::vector<double> frequencies, floor;
};

struct RendererConfig {
  int rays, stride, width, layers;
};

struct DitConfig {
  int width, layers, heads, mlp, condition, window, events;
  std::vector<int> rope_pairs;  // time, row, column
  double rope_base;
  bool renderer;               // whether its estimate is drawn on, or zeros
  std::vector<double> sigmas;  // one for each pass, falling
};

struct LocalizerConfig {
  int width, bins, headings, positions, turns, keep, rounds;
  double position_spread, heading_spread;
};

struct Config {
  std::string name, description;  // empty: not given
  double fps;
  int sample_rate, samples_per_frame;
  std::vector<std::string> keys, themes;
  int default_theme, prompt_buckets;
  std::vector<double> start;      // x, y, heading
  int discrete_sizes[kDiscrete];  // values of each discrete part of the state
  double map_low, map_high;       // cells that learned grids span, both ways
  int latent_channels, audio_channels;
  std::vector<int> encoder, decoder;  // channels at 16, 8, 4 and at 4, 8, 16
  DynamicsConfig dynamics;
  RaysConfig rays;
  RendererConfig renderer;
  DitConfig dit;
  LocalizerConfig localizer;
  int noise_purpose, localizer_noise_purpose;
  double norm_epsilon;

  int one_hots() const { return discrete_sizes[0] + discrete_sizes[1] + discrete_sizes[2]; }
  int column_features() const { return renderer.rays * rays.features; }
};

// INVALID_ARGUMENT (BAD_CONFIG) names the key that is missing, of the wrong type or out of range.
absl::StatusOr<Config> ParseConfig(absl::string_view json);
// The same of a folder's config.json, named after the folder unless it says otherwise; also
// NOT_FOUND.
absl::StatusOr<Config> ReadConfig(const std::string& folder);

}  // namespace firstbyte::state_dit

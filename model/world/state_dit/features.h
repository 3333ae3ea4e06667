// What places and angles look like to a network: waves, harmonics, one-hots, learned grids.
//
// Plain functions of plain numbers; thread-safe. Everything in float, in the order of operations of
// the PyTorch reference.
#pragma once

#include <array>
#include <vector>

#include "model/nn/weight_loader.h"
#include "model/world/state_dit/config.h"

namespace firstbyte::state_dit {

inline constexpr float kPi = 3.14159265358979323846f;

// x, y (cells), heading (radians, about -pi to pi), step counter, collision, bump cooldown.
using State = std::array<float, kStateSize>;
// The six keys as 0 or 1, then the pointer's movement to the right in [-1, 1].
using Action = std::array<float, kActionSize>;
// What the DiT notes of what lives by chance: whether it is there (0 or 1; a logit as predicted),
// how far ahead and to the right (cells / 2), its speed ahead and to the right (a tenth of a cell a
// tick), ticks out of sight / 8.
using Note = std::array<float, kNoteSize>;
inline constexpr int kSighted = kNoteSize + 2;

// out[0..2 * count): sin(k angle) for k = 1..count, then cos(k angle).
void Harmonics(const kernels::KernelTable& kernels, float angle, int count, float* out);
// out[0..4 f): sin x, cos x, sin y, cos y at f frequencies (cycles a cell).
void Waves(const kernels::KernelTable& kernels, float x, float y, const std::vector<float>& f,
           float* out);
// out[0..config.one_hots()): the discrete parts of the state.
void OneHots(const Config& config, const State& state, float* out);
// out[0..kSighted): the note, the tangent to the right, one over the cells ahead.
void Sighted(const Note& note, float* out);
// The note of the frame before as the player sees it after his own move.
Note Carried(const kernels::KernelTable& kernels, const Note& note, const State& before,
             const State& after);
// A predicted note as it is kept: something is there or it is not, what was there moves on with its
// new speed, and frames out of sight are whole ones.
Note Settled(const Note& predicted, const Note& carried);
// To [-pi, pi).
float WrapAngle(float angle);

// A learned map over the world's square, read between its points.
class Grid {
 public:
  Grid() = default;
  // values [channels, n (y), n (x)] over [low, high] both ways; empty: an empty grid.
  Grid(const std::vector<float>& values, int channels, int n, double low, double high);

  int channels() const { return channels_; }
  // out[0..channels): bilinear; outside the square as at its border.
  void Sample(float x, float y, float* out) const;

 private:
  std::vector<float> values_;  // [n][n][channels]
  int channels_ = 0, n_ = 0;
  float low_ = 0, span_ = 1;
};

// A layer of silu(first half) * second half of one linear layer.
class Gated {
 public:
  Gated() = default;
  Gated(const std::string& name, int inputs, int width, const nn::KernelTable& kernels,
        nn::WeightLoader* weights);

  // x [m, inputs]; halves [m, 2 * width] is scratch; y [m, width].
  void Forward(const float* x, int m, float* halves, float* y) const;

 private:
  const nn::KernelTable* kernels_ = nullptr;
  nn::Linear linear_;
};

}  // namespace firstbyte::state_dit

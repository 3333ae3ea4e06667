// OrthoRoPE: a head's pairs of numbers turn with x, with y, or with time, each by itself.
//
// Of head_dim / 2 pairs a quarter turns with x, a quarter with y, half with the frame index. Every
// frequency is used for two neighbouring pairs. Pairs are (2j, 2j + 1) going in; coming out, all
// first components stand before all second ones, which is nothing to a dot product of two vectors
// that were both rotated. Immutable, so thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "model/kernels/kernels.h"
#include "model/world/waypoint/config.h"

namespace firstbyte::waypoint {

// The parts of the angles, in radians: of each token's place, [tokens, head_dim / 4] of x, then of
// y; and of a position in time, [head_dim / 4].
std::vector<float> SpaceAngles(const Config& config);
std::vector<double> TimeFrequencies(const Config& config);

class OrthoRope {
 public:
  OrthoRope() = default;
  OrthoRope(const Config& config, const kernels::KernelTable& kernels);

  // cosines, sines [tokens, head_dim / 2] for the tokens of latent frame `frame`.
  void Tables(int64_t frame, float* cosines, float* sines) const;

  // Rotates `heads` heads of one token in place: x [heads, head_dim]; cosines, sines [head_dim /
  // 2].
  static void Rotate(const float* cosines, const float* sines, int heads, int head_dim, float* x);

 private:
  const kernels::KernelTable* kernels_ = nullptr;
  int tokens_ = 0, time_stride_ = 1;
  std::vector<float> space_cosines_, space_sines_;  // [tokens, head_dim / 4]: x, then y
  std::vector<double> time_;                        // [head_dim / 4] radians a position
};

}  // namespace firstbyte::waypoint

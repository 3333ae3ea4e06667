// What can be seen from a place: soft first hits along rays of a learned density map, and features
// of each ray. `rays.count` rays cover the picture and a little more on either side.
//
// Immutable; thread-safe on distinct buffers.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "model/world/state_dit/features.h"

namespace firstbyte::state_dit {

struct Pose {
  float x, y, heading;  // cells, radians
};

class Rays {
 public:
  struct Buffers {
    Buffers(const Config& config, int max_poses);
    nn::Tensor passed, depth, inputs, halves, hidden;
  };

  Rays() = default;
  Rays(const Config& config, const nn::KernelTable& kernels, nn::WeightLoader* weights);

  // features [poses, count, features]. A pose's result depends on that pose alone.
  void Features(absl::Span<const Pose> poses, Buffers* buffers, float* features) const;

  // Forward distance of the first wall along each ray: depth [count], in cells.
  void Depth(const Pose& pose, Buffers* buffers, float* depth) const;
  // What the geometry says about each ray: out [count, InputSize()].
  void Describe(const Pose& pose, const float* depth, float* out) const;

  static int InputSize(const Config& config);

 private:
  struct Direction {
    float x, y;
  };

  Direction DirectionOf(const Pose& pose, int ray) const;
  float* DescribeFloor(const Pose& pose, Direction direction, float depth, float* out) const;

  const nn::KernelTable* kernels_ = nullptr;
  Config config_{};
  std::vector<float> offsets_;           // [count]: to the right, for each step forward
  std::vector<float> distances_, gaps_;  // [samples]
  std::vector<float> frequencies_, floor_;
  Grid density_, colors_;
  Gated gate_;
  nn::Linear out_;
};

}  // namespace firstbyte::state_dit

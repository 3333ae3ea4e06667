#include "model/world/waypoint/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/world/waypoint/ops.h"

namespace firstbyte::waypoint {
namespace {

// Each frequency twice, as the layers were trained.
std::vector<double> Doubled(const std::vector<double>& frequencies, bool compat) {
  std::vector<double> out;
  for (double f : frequencies) {
    const double used = compat ? RoundToBf16(static_cast<float>(f)) : f;
    out.push_back(used);
    out.push_back(used);
  }
  return out;
}

std::vector<double> SpaceFrequencies(const Config& c) {
  const int count = c.head_dim() / 16;
  const double top = std::min(c.height, c.width) * c.rope_nyquist_frac / 2;
  std::vector<double> frequencies(count, std::numbers::pi);
  for (int i = 1; i < count; ++i) frequencies[i] *= 1 + (top - 1) * i / (count - 1);
  return Doubled(frequencies, c.reference_compat);
}

// Whole turns go in double: in float, a long session would lose the angle's last digits.
float Turned(double angle) {
  return static_cast<float>(std::remainder(angle, 2 * std::numbers::pi));
}

}  // namespace

std::vector<float> SpaceAngles(const Config& c) {
  const std::vector<double> space = SpaceFrequencies(c);
  std::vector<float> angles;
  for (int token = 0; token < c.tokens(); ++token) {
    // Centres of cells, in (-1, 1).
    const double x = (2 * (token % c.width) + 1) / static_cast<double>(c.width) - 1;
    const double y = (2 * (token / c.width) + 1) / static_cast<double>(c.height) - 1;
    for (double f : space) angles.push_back(Turned(x * f));
    for (double f : space) angles.push_back(Turned(y * f));
  }
  return angles;
}

std::vector<double> TimeFrequencies(const Config& c) {
  const int pairs = c.head_dim() / 4;
  std::vector<double> frequencies;
  for (int i = 0; i < pairs; i += 2) {
    frequencies.push_back(std::pow(c.rope_theta, -static_cast<double>(i) / pairs));
  }
  return Doubled(frequencies, c.reference_compat);
}

OrthoRope::OrthoRope(const Config& c, const kernels::KernelTable& kernels)
    : kernels_(&kernels),
      tokens_(c.tokens()),
      time_stride_(c.time_stride()),
      time_(TimeFrequencies(c)) {
  const std::vector<float> angles = SpaceAngles(c);
  space_cosines_.resize(angles.size());
  space_sines_.resize(angles.size());
  kernels.sincos(angles.data(), static_cast<int64_t>(angles.size()), space_sines_.data(),
                 space_cosines_.data());
}

void OrthoRope::Tables(int64_t frame, float* cosines, float* sines) const {
  const int half = static_cast<int>(time_.size());
  float angles[kMaxHeadDim / 4], time_cosines[kMaxHeadDim / 4], time_sines[kMaxHeadDim / 4];
  const double position = static_cast<double>(frame) * time_stride_;
  for (int i = 0; i < half; ++i) angles[i] = Turned(position * time_[i]);
  kernels_->sincos(angles, half, time_sines, time_cosines);
  for (int token = 0; token < tokens_; ++token, cosines += 2 * half, sines += 2 * half) {
    std::copy_n(space_cosines_.data() + token * half, half, cosines);
    std::copy_n(space_sines_.data() + token * half, half, sines);
    std::copy_n(time_cosines, half, cosines + half);
    std::copy_n(time_sines, half, sines + half);
  }
}

void OrthoRope::Rotate(const float* cosines, const float* sines, int heads, int head_dim,
                       float* x) {
  const int half = head_dim / 2;
  float turned[kMaxHeadDim];
  for (int h = 0; h < heads; ++h, x += head_dim) {
    for (int j = 0; j < half; ++j) {
      const float a = x[2 * j], b = x[2 * j + 1];
      turned[j] = a * cosines[j] - b * sines[j];
      turned[half + j] = b * cosines[j] + a * sines[j];
    }
    std::copy_n(turned, head_dim, x);
  }
}

}  // namespace firstbyte::waypoint

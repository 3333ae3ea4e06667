#include "model/world/state_dit/rays.h"

#include <algorithm>
#include <cmath>

namespace firstbyte::state_dit {
namespace {

// Of a floor sample: colours, then sines and cosines of the tile, their product, whether it is
// open.
int FloorSize(const RaysConfig& r) { return r.channels + 6; }

std::vector<float> ToFloats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

// softplus(10 x), as the density that light meets.
std::vector<float> Opacity(std::vector<float> values) {
  for (float& v : values) {
    const double x = 10 * double{v};
    v = static_cast<float>(x > 20 ? x : std::log1p(std::exp(x)));
  }
  return values;
}

}  // namespace

int Rays::InputSize(const Config& c) {
  const RaysConfig& r = c.rays;
  return 4 + 4 * static_cast<int>(r.frequencies.size()) + 2 * r.channels +
         static_cast<int>(r.floor.size()) * FloorSize(r) + 2 * r.headings + 1;
}

Rays::Buffers::Buffers(const Config& c, int poses)
    : passed({c.rays.samples}),
      depth({c.rays.count}),
      inputs({poses * c.rays.count, InputSize(c)}),
      halves({poses * c.rays.count, 2 * c.rays.hidden}),
      hidden({poses * c.rays.count, c.rays.hidden}) {}

Rays::Rays(const Config& config, const nn::KernelTable& kernels, nn::WeightLoader* weights)
    : kernels_(&kernels),
      config_(config),
      frequencies_(ToFloats(config.rays.frequencies)),
      floor_(ToFloats(config.rays.floor)) {
  const RaysConfig& r = config_.rays;
  const auto inside = static_cast<float>(r.count - 2 * r.beyond);
  for (int i = 0; i < r.count; ++i) {
    const float column = (static_cast<float>(i - r.beyond) + 0.5f) / inside;
    offsets_.push_back((2 * column - 1) * static_cast<float>(r.half_tangent));
  }
  for (int i = 0; i < r.samples; ++i) {
    const float part = static_cast<float>(i) / static_cast<float>(r.samples - 1);
    distances_.push_back(static_cast<float>(r.near) +
                         static_cast<float>(r.far) * std::pow(part, static_cast<float>(r.power)));
  }
  for (int i = 1; i < r.samples; ++i) gaps_.push_back(distances_[i] - distances_[i - 1]);
  gaps_.push_back(distances_.back() * 2 - distances_[r.samples - 2] - distances_.back());
  density_ = Grid(Opacity(weights->LoadTensor("rays.density", {1, r.density, r.density})), 1,
                  r.density, config_.map_low, config_.map_high);
  colors_ = Grid(weights->LoadTensor("rays.colors", {r.channels, r.grid, r.grid}), r.channels,
                 r.grid, config_.map_low, config_.map_high);
  gate_ = Gated("rays.gate", InputSize(config_), r.hidden, kernels, weights);
  out_ = weights->LoadLinear("rays.out", r.features, r.hidden, nn::Bias::kYes);
}

Rays::Direction Rays::DirectionOf(const Pose& pose, int ray) const {
  float sine, cosine;
  kernels_->sincos(&pose.heading, 1, &sine, &cosine);
  return {cosine + offsets_[ray] * sine, sine - offsets_[ray] * cosine};
}

void Rays::Depth(const Pose& pose, Buffers* b, float* depth) const {
  const int samples = config_.rays.samples;
  float* passed = b->passed.data();
  for (int ray = 0; ray < config_.rays.count; ++ray) {
    const Direction d = DirectionOf(pose, ray);
    double thickness = 0;
    for (int i = 0; i < samples; ++i) {
      float density;
      density_.Sample(pose.x + distances_[i] * d.x, pose.y + distances_[i] * d.y, &density);
      thickness += density * gaps_[i];
      passed[i] = static_cast<float>(-thickness);
    }
    kernels_->exp(passed, samples, passed);
    float sum = passed[samples - 1] * distances_[samples - 1], before = 1;
    for (int i = 0; i < samples; ++i) {
      sum += (before - passed[i]) * distances_[i];
      before = passed[i];
    }
    depth[ray] = sum;
  }
}

float* Rays::DescribeFloor(const Pose& pose, Direction direction, float depth, float* out) const {
  const int channels = config_.rays.channels;
  for (float distance : floor_) {
    const float x = pose.x + distance * direction.x, y = pose.y + distance * direction.y;
    float closed = -8 * (depth - distance);
    kernels_->exp(&closed, 1, &closed);
    const float open = 1 / (1 + closed);  // whether the wall is behind it
    colors_.Sample(x, y, out);
    const float angles[2] = {kPi * x, kPi * y};
    float* tiles = out + channels;
    kernels_->sincos(angles, 2, tiles, tiles + 2);
    tiles[4] = tiles[0] * tiles[1];
    for (int i = 0; i < channels + 5; ++i) out[i] *= open;
    out[channels + 5] = open;
    out += channels + 6;
  }
  return out;
}

void Rays::Describe(const Pose& pose, const float* depth, float* out) const {
  const RaysConfig& r = config_.rays;
  const auto before = static_cast<float>(r.before), behind = static_cast<float>(r.behind);
  float turn[64];
  Harmonics(*kernels_, pose.heading, r.headings, turn);
  for (int ray = 0; ray < r.count; ++ray) {
    const Direction d = DirectionOf(pose, ray);
    const float t = std::max(depth[ray], 0.1f);
    float fade = -t / 2;
    kernels_->exp(&fade, 1, &fade);
    *out++ = t / 6;
    *out++ = std::min(0.5f / t, 2.0f);
    *out++ = fade;
    *out++ = std::log(t);
    Waves(*kernels_, pose.x + t * d.x, pose.y + t * d.y, frequencies_, out);
    out += 4 * frequencies_.size();
    for (float at : {t - before, t + behind}) {
      colors_.Sample(pose.x + at * d.x, pose.y + at * d.y, out);
      out += r.channels;
    }
    out = DescribeFloor(pose, d, t, out);
    out = std::copy_n(turn, 2 * r.headings, out);
    *out++ = offsets_[ray];
  }
}

void Rays::Features(absl::Span<const Pose> poses, Buffers* b, float* features) const {
  const int count = config_.rays.count, size = InputSize(config_);
  const int m = static_cast<int>(poses.size()) * count;
  for (size_t i = 0; i < poses.size(); ++i) {
    Depth(poses[i], b, b->depth.data());
    Describe(poses[i], b->depth.data(), b->inputs.data() + i * count * size);
  }
  gate_.Forward(b->inputs.data(), m, b->halves.data(), b->hidden.data());
  out_.Forward(b->hidden.data(), m, features);
}

}  // namespace firstbyte::state_dit

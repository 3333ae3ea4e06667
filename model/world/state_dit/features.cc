#include "model/world/state_dit/features.h"

#include <algorithm>
#include <cmath>

namespace firstbyte::state_dit {
namespace {

constexpr int kMaxAngles = 64;

}  // namespace

void Harmonics(const kernels::KernelTable& kernels, float angle, int count, float* out) {
  float angles[kMaxAngles];
  for (int k = 0; k < count; ++k) angles[k] = static_cast<float>(k + 1) * angle;
  kernels.sincos(angles, count, out, out + count);
}

void Waves(const kernels::KernelTable& kernels, float x, float y, const std::vector<float>& f,
           float* out) {
  const int count = static_cast<int>(f.size());
  float angles[kMaxAngles];
  for (float place : {x, y}) {
    for (int i = 0; i < count; ++i) angles[i] = 2 * kPi * place * f[i];
    kernels.sincos(angles, count, out, out + count);
    out += 2 * count;
  }
}

void OneHots(const Config& config, const State& state, float* out) {
  for (int i = 0; i < kDiscrete; ++i) {
    std::fill_n(out, config.discrete_sizes[i], 0.0f);
    out[static_cast<int>(state[3 + i])] = 1;
    out += config.discrete_sizes[i];
  }
}

void Sighted(const Note& note, float* out) {
  constexpr float kNearest = 0.3f;  // cells
  const float near = note[0] / std::max(2 * note[1], kNearest);
  out = std::copy(note.begin(), note.end(), out);
  *out++ = 2 * note[2] * near;
  *out = near;
}

Note Carried(const kernels::KernelTable& kernels, const Note& note, const State& before,
             const State& after) {
  const float angles[2] = {after[2], after[2] - before[2]};
  float sines[2], cosines[2];
  kernels.sincos(angles, 2, sines, cosines);
  const float x = (before[0] - after[0]) / 2, y = (before[1] - after[1]) / 2;
  const float forward = x * cosines[0] + y * sines[0], right = x * sines[0] - y * cosines[0];
  const auto [there, ahead, aside, fast, slip, hidden] = note;
  const float sine = sines[1], cosine = cosines[1];
  return {there,
          ahead * cosine - aside * sine + there * forward,
          ahead * sine + aside * cosine + there * right,
          fast * cosine - slip * sine,
          fast * sine + slip * cosine,
          hidden};
}

Note Settled(const Note& predicted, const Note& carried) {
  constexpr float kFarthest = 2;
  Note note{};
  if (!(predicted[0] > 0)) return note;
  note = predicted;
  if (carried[0] > 0) {
    for (int i = 1; i < 3; ++i) note[i] = carried[i] + predicted[2 + i] / 20;
  }
  note[5] = std::nearbyint(8 * note[5]) / 8;
  for (float& v : note) v = std::clamp(v, -kFarthest, kFarthest);
  note[0] = 1;
  return note;
}

float WrapAngle(float angle) { return angle - 2 * kPi * std::floor(angle / (2 * kPi) + 0.5f); }

Grid::Grid(const std::vector<float>& values, int channels, int n, double low, double high)
    : values_(values.size()),
      channels_(channels),
      n_(n),
      low_(static_cast<float>(low)),
      span_(static_cast<float>(high - low)) {
  if (values.empty()) return;
  const int places = n * n;
  for (int c = 0; c < channels; ++c) {
    for (int i = 0; i < places; ++i) values_[i * channels + c] = values[c * places + i];
  }
}

void Grid::Sample(float x, float y, float* out) const {
  const auto last = static_cast<float>(n_ - 1);
  auto place = [&](float v) {
    const float unit = (v - low_) / span_ * 2 - 1;
    // Not std::clamp: a value that is no number must land inside, too.
    return std::min(last, std::max(0.0f, (unit + 1) / 2 * last));
  };
  const float px = place(x), py = place(y);
  const int x0 = static_cast<int>(px), y0 = static_cast<int>(py);
  const int x1 = std::min(x0 + 1, n_ - 1), y1 = std::min(y0 + 1, n_ - 1);
  const float fx = px - static_cast<float>(x0), fy = py - static_cast<float>(y0);
  const float w00 = (1 - fx) * (1 - fy), w01 = fx * (1 - fy), w10 = (1 - fx) * fy, w11 = fx * fy;
  const float* v = values_.data();
  const float *a = v + (y0 * n_ + x0) * channels_, *b = v + (y0 * n_ + x1) * channels_;
  const float *c = v + (y1 * n_ + x0) * channels_, *d = v + (y1 * n_ + x1) * channels_;
  for (int i = 0; i < channels_; ++i) out[i] = a[i] * w00 + b[i] * w01 + c[i] * w10 + d[i] * w11;
}

Gated::Gated(const std::string& name, int inputs, int width, const nn::KernelTable& kernels,
             nn::WeightLoader* weights)
    : kernels_(&kernels),
      linear_(weights->LoadLinear(name + ".linear", 2 * width, inputs, nn::Bias::kYes)) {}

void Gated::Forward(const float* x, int m, float* halves, float* y) const {
  linear_.Forward(x, m, halves);
  kernels_->swiglu(halves, m, linear_.outputs() / 2, y);
}

}  // namespace firstbyte::state_dit

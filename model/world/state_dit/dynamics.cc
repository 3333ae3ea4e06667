#include "model/world/state_dit/dynamics.h"

#include <algorithm>
#include <cmath>

namespace firstbyte::state_dit {
namespace {

int Outputs(const Config& config) { return 3 + config.one_hots(); }

}  // namespace

int Dynamics::InputSize(const Config& c) {
  return 4 * c.dynamics.frequencies + 2 * c.dynamics.headings + c.one_hots() + kActionSize +
         c.dynamics.channels;
}

Dynamics::Buffers::Buffers(const Config& c, int rows)
    : inputs({rows, InputSize(c)}),
      halves({rows, 2 * c.dynamics.width}),
      x({rows, c.dynamics.width}),
      y({rows, c.dynamics.width}),
      outputs({rows, Outputs(c)}) {}

Dynamics::Dynamics(const Config& config, const nn::KernelTable& kernels, nn::WeightLoader* weights)
    : kernels_(&kernels), config_(config) {
  const DynamicsConfig& d = config_.dynamics;
  // Powers in float, as the reference takes them: a place's phase is hundreds of radians.
  const auto ratio = static_cast<float>(std::pow(d.highest / d.lowest, 1.0 / (d.frequencies - 1)));
  for (int i = 0; i < d.frequencies; ++i) {
    frequencies_.push_back(static_cast<float>(d.lowest) * std::pow(ratio, static_cast<float>(i)));
  }
  grid_ = Grid(weights->LoadTensor("dynamics.grid", {d.channels, d.grid, d.grid}), d.channels,
               d.grid, config_.map_low, config_.map_high);
  for (int i = 0; i < d.layers; ++i) {
    layers_.emplace_back("dynamics.layers." + std::to_string(i),
                         i == 0 ? InputSize(config_) : d.width, d.width, kernels, weights);
  }
  head_ = weights->LoadLinear("dynamics.head", Outputs(config_), d.width, nn::Bias::kYes);
}

void Dynamics::Describe(const MoveRow& row, float* out) const {
  const DynamicsConfig& d = config_.dynamics;
  const State& s = *row.before;
  Waves(*kernels_, s[0], s[1], frequencies_, out);
  out += 4 * d.frequencies;
  Harmonics(*kernels_, s[2], d.headings, out);
  out += 2 * d.headings;
  OneHots(config_, s, out);
  out = std::copy(row.action->begin(), row.action->end(), out + config_.one_hots());
  grid_.Sample(s[0], s[1], out);
}

State Dynamics::Next(const State& before, const float* outputs) const {
  const DynamicsConfig& d = config_.dynamics;
  const auto low = static_cast<float>(d.low), high = static_cast<float>(d.high);
  const auto move = static_cast<float>(d.move), turn = static_cast<float>(d.turn);
  State next;
  for (int i = 0; i < 2; ++i) next[i] = std::clamp(before[i] + move * outputs[i], low, high);
  next[2] = WrapAngle(before[2] + turn * outputs[2]);
  const float* logits = outputs + 3;
  for (int i = 0; i < kDiscrete; ++i) {
    const int size = config_.discrete_sizes[i];
    next[3 + i] = static_cast<float>(std::max_element(logits, logits + size) - logits);
    logits += size;
  }
  return next;
}

void Dynamics::Advance(absl::Span<const MoveRow> rows, Buffers* b) const {
  const int m = static_cast<int>(rows.size()), inputs = InputSize(config_);
  for (int r = 0; r < m; ++r) Describe(rows[r], b->inputs.data() + r * inputs);
  layers_[0].Forward(b->inputs.data(), m, b->halves.data(), b->x.data());
  for (size_t i = 1; i < layers_.size(); ++i) {
    layers_[i].Forward(b->x.data(), m, b->halves.data(), b->y.data());
    kernels_->add(b->y.data(), static_cast<int64_t>(m) * config_.dynamics.width, b->x.data());
  }
  head_.Forward(b->x.data(), m, b->outputs.data());
  for (int r = 0; r < m; ++r) {
    *rows[r].after = Next(*rows[r].before, b->outputs.data() + r * Outputs(config_));
  }
}

}  // namespace firstbyte::state_dit

// How a player's place in the world changes: state and action -> next state.
//
// Immutable; thread-safe on distinct buffers.
#pragma once

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "model/world/state_dit/features.h"

namespace firstbyte::state_dit {

struct MoveRow {
  const State* before;
  const Action* action;
  State* after;  // may be `before`
};

class Dynamics {
 public:
  struct Buffers {
    Buffers(const Config& config, int max_rows);
    nn::Tensor inputs, halves, x, y, outputs;
  };

  Dynamics() = default;
  Dynamics(const Config& config, const nn::KernelTable& kernels, nn::WeightLoader* weights);

  // A row's result depends on that row alone. The discrete parts are argmax'ed, so that counters
  // cannot drift.
  void Advance(absl::Span<const MoveRow> rows, Buffers* buffers) const;

  static int InputSize(const Config& config);

 private:
  void Describe(const MoveRow& row, float* out) const;  // [InputSize()]
  State Next(const State& before, const float* outputs) const;

  const nn::KernelTable* kernels_ = nullptr;
  Config config_{};
  std::vector<float> frequencies_;
  Grid grid_;
  std::vector<Gated> layers_;
  nn::Linear head_;
};

}  // namespace firstbyte::state_dit

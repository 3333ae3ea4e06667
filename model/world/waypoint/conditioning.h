// What the level of noise does to each layer: scales, shifts and gates.
//
// Noise levels take few values (the scheduler's sigmas), so all of it is computed while loading;
// the weights it takes are not kept.
#pragma once

#include <vector>

#include "model/nn/weight_loader.h"
#include "model/world/waypoint/config.h"

namespace firstbyte::waypoint {

// Immutable, so thread-safe.
class Conditioning {
 public:
  Conditioning() = default;
  // Reads denoise_step_emb, out_norm and every block's *_cond_head. The six matrices P are stored
  // with every block and are the same; a file in which they differ is refused.
  Conditioning(const Config& config, const SafeTensors& file, const nn::KernelTable& kernels,
               nn::WeightLoader* weights);

  // [kModulations, d_model]: scale, shift, gate of the attention, then of the MLP.
  const float* Layer(int sigma, int layer) const {
    return layers_.data() + (static_cast<int64_t>(sigma) * n_layers_ + layer) * row_;
  }
  // [2, d_model]: scale and shift before the last product.
  const float* Output(int sigma) const { return outputs_.data() + sigma * row_ / 3; }

 private:
  void Bake(const Config& config, const nn::KernelTable& kernels, nn::WeightLoader* weights);

  int n_layers_ = 0;
  int64_t row_ = 0;
  std::vector<float> layers_;   // [sigmas, layers, kModulations, d_model]
  std::vector<float> outputs_;  // [sigmas, 2, d_model]
};

// sigma after the rounding that Config::reference_compat asks for, and the Euler steps
// sigma[k + 1] - sigma[k].
std::vector<float> Sigmas(const Config& config);
std::vector<float> EulerSteps(const Config& config);

}  // namespace firstbyte::waypoint

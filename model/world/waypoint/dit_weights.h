// The transformer's layers as a checkpoint stores them, where that is not how they are multiplied.
//
// Row-major; empty when a tensor is missing or of another shape, which the loader then says.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "model/nn/weight_loader.h"
#include "model/world/waypoint/config.h"

namespace firstbyte::waypoint {

// PyTorch's default: the norms have no epsilon of their own.
inline constexpr float kEpsilon = std::numeric_limits<float>::epsilon();

struct Matrix {
  std::vector<float> weight, bias;
};

std::string BlockPrefix(int layer);  // of its tensors' names

Matrix LoadPatchify(const Config& config, nn::WeightLoader* weights);    // [d_model, token_latents]
Matrix LoadUnpatchify(const Config& config, nn::WeightLoader* weights);  // [token_latents, d_model]
Matrix LoadQkv(const Config& config, int layer, nn::WeightLoader* weights);  // q, k, v
// How far a layer's values go towards the first layer's.
float LoadValueMix(int layer, nn::WeightLoader* weights);

}  // namespace firstbyte::waypoint

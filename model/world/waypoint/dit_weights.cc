#include "model/world/waypoint/dit_weights.h"

#include "absl/strings/str_cat.h"

namespace firstbyte::waypoint {

std::string BlockPrefix(int layer) { return absl::StrCat("transformer.blocks.", layer, "."); }

Matrix LoadPatchify(const Config& c, nn::WeightLoader* weights) {
  return {weights->LoadTensor("patchify.weight",
                              {c.d_model, c.channels, c.patch_height, c.patch_width}),
          {}};
}

// Stored as a transposed convolution, [d_model, channels, height, width] with a bias a channel.
Matrix LoadUnpatchify(const Config& c, nn::WeightLoader* weights) {
  const std::vector<float> stored = weights->LoadTensor(
      "unpatchify.weight", {c.d_model, c.channels, c.patch_height, c.patch_width});
  const std::vector<float> bias = weights->LoadVector("unpatchify.bias", c.channels);
  if (!weights->status().ok()) return {};
  const int n = c.token_latents(), cells = c.patch_height * c.patch_width;
  Matrix made{std::vector<float>(stored.size()), std::vector<float>(n)};
  for (int row = 0; row < n; ++row) {
    made.bias[row] = bias[row / cells];
    for (int i = 0; i < c.d_model; ++i) {
      made.weight[static_cast<size_t>(row) * c.d_model + i] =
          stored[static_cast<size_t>(i) * n + row];
    }
  }
  return made;
}

Matrix LoadQkv(const Config& c, int layer, nn::WeightLoader* weights) {
  Matrix stacked;
  for (const char* name : {"q", "k", "v"}) {
    const int n = *name == 'q' ? c.d_model : c.kv_size();
    const std::vector<float> part = weights->LoadTensor(
        absl::StrCat(BlockPrefix(layer), "attn.", name, "_proj.weight"), {n, c.d_model});
    stacked.weight.insert(stacked.weight.end(), part.begin(), part.end());
  }
  if (!weights->status().ok()) return {};
  return stacked;
}

float LoadValueMix(int layer, nn::WeightLoader* weights) {
  const std::vector<float> mix =
      weights->LoadTensor(absl::StrCat(BlockPrefix(layer), "attn.v_lamb"), {});
  return mix.empty() ? 0 : mix[0];
}

}  // namespace firstbyte::waypoint

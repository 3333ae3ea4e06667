#include "model/world/waypoint/checkpoint.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "model/io/safetensors.h"
#include "model/no_memory.h"
#include "model/world/waypoint/noise.h"

namespace firstbyte::waypoint {
namespace {

absl::Status Build(const SafeTensors& dit, const SafeTensors& taehv,
                   const kernels::KernelTable& kernels, Checkpoint* checkpoint) {
  nn::WeightLoader weights(dit, kernels), taehv_weights(taehv, kernels);
  const Config& config = checkpoint->config;
  checkpoint->dit = Dit(config, dit, kernels, &weights);
  if (!weights.status().ok()) return weights.status();
  checkpoint->decoder = TaehvDecoder(config, taehv, kernels, &taehv_weights);
  checkpoint->encoder = TaehvEncoder(config, taehv, kernels, &taehv_weights);
  return taehv_weights.status();
}

// Calls f(token-order index, channel, row, column) for every number of a latent.
template <typename Function>
void ForEachCell(const Config& c, Function f) {
  int at = 0;
  for (int token = 0; token < c.tokens(); ++token) {
    const int top = token / c.width * c.patch_height, left = token % c.width * c.patch_width;
    for (int channel = 0; channel < c.channels; ++channel) {
      for (int y = 0; y < c.patch_height; ++y) {
        for (int x = 0; x < c.patch_width; ++x) f(at++, channel, top + y, left + x);
      }
    }
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Checkpoint>> Checkpoint::Load(
    const std::string& folder, const kernels::KernelTable& kernels) {
  absl::StatusOr<Config> config = ReadConfig(folder);
  if (!config.ok()) return config.status();
  absl::StatusOr<SafeTensors> dit = SafeTensors::Open(folder + "/model.safetensors");
  if (!dit.ok()) return dit.status();
  absl::StatusOr<SafeTensors> taehv = SafeTensors::Open(folder + "/taehv1_5.safetensors");
  if (!taehv.ok()) return taehv.status();
  auto checkpoint = std::make_shared<Checkpoint>();
  checkpoint->config = *std::move(config);
  checkpoint->version = absl::StrCat(dit->Digest(), taehv->Digest());
  checkpoint->euler_steps = EulerSteps(checkpoint->config);
  absl::Status built = OrNoMemory(absl::StrCat("loading ", folder),
                                  [&] { return Build(*dit, *taehv, kernels, checkpoint.get()); });
  if (!built.ok()) return built;
  return checkpoint;
}

void Checkpoint::ToMap(const float* tokens, float* map) const {
  const int width = config.latent_width(), channels = config.channels;
  ForEachCell(config, [&](int at, int channel, int y, int x) {
    map[(y * width + x) * channels + channel] = tokens[at];
  });
}

void Checkpoint::ToTokens(const float* map, float* tokens) const {
  const int width = config.latent_width(), channels = config.channels;
  ForEachCell(config, [&](int at, int channel, int y, int x) {
    tokens[at] = map[(y * width + x) * channels + channel];
  });
}

void Checkpoint::Noise(uint64_t seed, int64_t frame, float* tokens) const {
  const int height = config.latent_height(), width = config.latent_width();
  const int size = config.latent_size(), padded = (size + 3) / 4 * 4;
  std::vector<float> noise(padded);
  GaussianNoise(seed, frame * padded, padded, noise.data());
  ForEachCell(config, [&](int at, int channel, int y, int x) {
    tokens[at] = noise[(channel * height + y) * width + x];
  });
}

}  // namespace firstbyte::waypoint

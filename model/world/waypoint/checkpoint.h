// A loaded world of the Waypoint-1.5 layout: what every lane shares.
//
// A folder holds
//   config.yaml            as published (config.h)
//   model.safetensors      the transformer, under the published names: patchify, unpatchify,
//                          denoise_step_emb, ctrl_emb, out_norm, transformer.blocks.{i}.*
//   taehv1_5.safetensors   the autoencoder, under the published names: encoder.{i}, decoder.{i}
//                          (published as .pth; tools/convert_taehv.py converts it)
// The equations are those of the public descriptions of the model (Overworldai/quark: docs/
// WAYPOINT_15.md; mstar-project/mstar) and of madebyollin/taehv, written down once more in
// tools/fixtures/waypoint.py. They are computed in float32, whatever the file's type.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "model/world/waypoint/config.h"
#include "model/world/waypoint/dit.h"
#include "model/world/waypoint/taehv.h"

namespace firstbyte::waypoint {

// Immutable and thread-safe.
struct Checkpoint {
  // A damaged folder is INVALID_ARGUMENT or NOT_FOUND with a message that names the key or tensor;
  // too little memory RESOURCE_EXHAUSTED.
  static absl::StatusOr<std::shared_ptr<const Checkpoint>> Load(
      const std::string& folder, const kernels::KernelTable& kernels);

  Config config;
  std::string version;             // digest of both weight files
  std::vector<float> euler_steps;  // [passes]
  Dit dit;
  TaehvDecoder decoder;
  TaehvEncoder encoder;

  // Latents are kept in token order (dit.h); the autoencoder wants [height, width, channels].
  void ToMap(const float* tokens, float* map) const;
  void ToTokens(const float* map, float* tokens) const;
  // Noise of latent frame `frame`, numbered as [channels, height, width], in token order.
  void Noise(uint64_t seed, int64_t frame, float* tokens) const;
};

}  // namespace firstbyte::waypoint

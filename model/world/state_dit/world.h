// The loaded weights of a state_dit world: what every lane shares.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "model/world/state_dit/autoencoder.h"
#include "model/world/state_dit/config.h"
#include "model/world/state_dit/dit.h"
#include "model/world/state_dit/dynamics.h"
#include "model/world/state_dit/localizer.h"
#include "model/world/state_dit/prompt.h"
#include "model/world/state_dit/renderer.h"

namespace firstbyte::state_dit {

// Immutable and thread-safe.
struct World {
  // Reads config.json and model.safetensors of `folder`. A damaged folder is INVALID_ARGUMENT
  // or NOT_FOUND with a message that names the file; too little memory RESOURCE_EXHAUSTED.
  static absl::StatusOr<std::shared_ptr<const World>> Load(const std::string& folder,
                                                           const kernels::KernelTable& kernels);

  const kernels::KernelTable* kernels;
  Config config;
  std::string version;  // digest of model.safetensors
  Prompt prompt;
  Dynamics dynamics;
  Renderer renderer;
  Dit dit;
  Encoder encoder;
  Decoder decoder;
  AudioCode audio;
  Localizer localizer;
};

}  // namespace firstbyte::state_dit

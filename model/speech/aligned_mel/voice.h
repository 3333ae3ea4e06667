// The loaded weights of an aligned_mel voice: what every lane shares.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "model/io/front_end.h"
#include "model/speech/aligned_mel/acoustic.h"
#include "model/speech/aligned_mel/conditioner.h"
#include "model/speech/aligned_mel/config.h"
#include "model/speech/aligned_mel/durations.h"
#include "model/speech/aligned_mel/vocoder.h"

namespace firstbyte::aligned_mel {

// Immutable and thread-safe; the front end serialises on a thread of its own.
struct Voice {
  // Reads config.json and model.safetensors of `folder`. A damaged folder is INVALID_ARGUMENT
  // or NOT_FOUND with a message that names the file; too little memory RESOURCE_EXHAUSTED.
  static absl::StatusOr<std::shared_ptr<const Voice>> Load(const std::string& folder,
                                                           const kernels::KernelTable& kernels);

  Config config;
  std::string version;  // digest of model.safetensors
  DurationModel durations;
  Conditioner conditioner;
  AcousticModel acoustic;
  Vocoder vocoder;
  std::unique_ptr<FrontEnd> front_end;
};

}  // namespace firstbyte::aligned_mel

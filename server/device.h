// The GPUs that a configuration names.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "model/cuda/gpu_options.h"
#include "server/config/config.h"

namespace firstbyte {

// Opens the plugin and, to see whether it can be used, each GPU; nullopt: models run on the CPU.
// One line says what is in the way and what to do. `binary` is argv[0]'s path, from which the
// plugin is found.
absl::StatusOr<std::optional<cuda::GpuOptions>> FindGpus(const Config& config,
                                                         const std::string& binary);

}  // namespace firstbyte

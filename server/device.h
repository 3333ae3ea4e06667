// Whether the device that a configuration names can be used.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "server/config/config.h"

namespace firstbyte {

// For a GPU, opens plugin and device to see. One line says what is in the way and what to do.
// `binary` is argv[0]'s path, from which the plugin is found.
absl::Status CheckDevice(const Config& config, const std::string& binary);

}  // namespace firstbyte

// Where the models are.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace firstbyte {

// The folder of embedded models for the binary at `binary`: ../share/firstbyte/models beside an
// installed one, or the models/ of the source tree it was built in. kNotFound names the places.
absl::StatusOr<std::string> FindModelsDir(const std::string& binary);

// Names of the models in `dir`: its subfolders with a config.json or .yaml and weights, sorted.
// kNotFound when the folder cannot be read.
absl::StatusOr<std::vector<std::string>> ListModelFolders(const std::string& dir);

}  // namespace firstbyte

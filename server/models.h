// The models that a configuration names, opened once for each lane.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/model.h"
#include "server/config/config.h"

namespace firstbyte {

// [lane][model], the default model first. `binary` is argv[0]'s path, from which the embedded
// models are found. The names "scripted" and "scripted-world" stand for models without weights
// (model/scripted.h, model/scripted_world.h).
absl::StatusOr<std::vector<std::vector<std::unique_ptr<Model>>>> OpenModels(
    const Config& config, const std::string& binary);

}  // namespace firstbyte

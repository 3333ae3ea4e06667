// The models that a configuration names, opened once for each lane.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/model.h"
#include "server/config/config.h"
#include "server/scheduler/engine.h"

namespace firstbyte {

struct ServedModels {
  std::vector<std::vector<std::unique_ptr<Model>>> lanes;  // [lane][model], the default first
  std::vector<ModelSource> sources;                        // of these
  std::vector<LazyModel> lazy;
};

// `binary` is argv[0]'s path, from which the embedded models are found. The names "scripted" and
// "scripted-world" stand for models without weights (model/scripted.h, model/scripted_world.h).
absl::StatusOr<ServedModels> OpenModels(const Config& config, const std::string& binary);

}  // namespace firstbyte

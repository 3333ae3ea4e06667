// The models that a configuration names, opened once for each lane.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/cuda/gpu_options.h"
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
// "scripted-world" stand for models without weights (model/scripted.h, model/scripted_world.h),
// which run on the CPU only. `gpus`: FindGpus()'s.
absl::StatusOr<ServedModels> OpenModels(const Config& config,
                                        const std::optional<cuda::GpuOptions>& gpus,
                                        const std::string& binary);

}  // namespace firstbyte

// Opens a model folder: config.json or config.yaml says which family it belongs to.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/cuda/gpu_options.h"
#include "model/model.h"

namespace firstbyte {

struct ModelOptions {
  int lanes = 1;                        // copies that share the weights, each for a lane of its own
  int slots = 0;                        // sessions open at once in each; 0: the family's default
  int max_batch = 0;                    // sessions in one step; 0: the family's default
  std::optional<cuda::GpuOptions> gpu;  // where the lanes are; not set: on the CPU
};

// One Model for each lane, on a GPU with a device of its own. A damaged folder or an unknown family
// is kInvalidArgument or kNotFound; a build without LibTorch has no families, and a family may not
// run on GPUs or not in the numbers asked for (kUnimplemented). Too little memory of a GPU is
// kResourceExhausted, one that cannot be used kFailedPrecondition. Blocks while it reads the
// weights (about 50 ms for the embedded voice) and, on a GPU, records its graphs.
absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenModelFolder(const std::string& folder,
                                                                    const ModelOptions& options);

// What the models of this folder will say of themselves, from its config alone, in about a
// millisecond. Without `version`; `slot_bytes` and `state_bytes` may be less than they will be.
absl::StatusOr<ModelInfo> DescribeModelFolder(const std::string& folder,
                                              const ModelOptions& options);

// What is in a model folder, without reading it.
struct ModelFiles {
  std::string family;        // as the config names it
  int64_t weight_bytes = 0;  // of its files of tensors
};
absl::StatusOr<ModelFiles> LookIntoModelFolder(const std::string& folder);

}  // namespace firstbyte

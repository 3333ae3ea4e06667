// The families of models, as the registry sees them; families.cc has them, families_off.cc says
// that this build does not.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/registry/registry.h"

namespace firstbyte {

// What opens a family's folders. On GPUs options.gpu is set.
struct FamilyEngine {
  absl::StatusOr<std::vector<std::unique_ptr<Model>>> (*open)(const std::string& folder,
                                                              const ModelOptions& options);
  absl::StatusOr<ModelInfo> (*describe)(const std::string& folder, const ModelOptions& options);
};

struct Family {
  const char* type;  // as a config names it
  FamilyEngine cpu;
  const FamilyEngine* gpu = nullptr;  // null: it has none
};

absl::Span<const Family> Families();

}  // namespace firstbyte

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

struct Family {
  const char* type;  // as a config names it
  absl::StatusOr<std::vector<std::unique_ptr<Model>>> (*open)(const std::string& folder,
                                                              const ModelOptions& options);
  absl::StatusOr<ModelInfo> (*describe)(const std::string& folder, const ModelOptions& options);
};

absl::Span<const Family> Families();

}  // namespace firstbyte

// How the registry makes each family; families.cc does it, families_off.cc says that it cannot.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/registry/registry.h"

namespace firstbyte {

absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenAlignedMel(const std::string& folder,
                                                                   const ModelOptions& options);
absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenStateDit(const std::string& folder,
                                                                 const ModelOptions& options);
absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenWaypoint(const std::string& folder,
                                                                 const ModelOptions& options);

}  // namespace firstbyte

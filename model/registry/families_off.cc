#include "base/error.h"
#include "model/registry/families.h"

namespace firstbyte {

namespace {

absl::Status NoLibTorch(const std::string& folder) {
  return Error(absl::StatusCode::kUnimplemented, "NO_LIBTORCH",
               folder + ": this build has no model families (FIRSTBYTE_TORCH=OFF)");
}

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenAlignedMel(const std::string& folder,
                                                                   const ModelOptions&) {
  return NoLibTorch(folder);
}

absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenStateDit(const std::string& folder,
                                                                 const ModelOptions&) {
  return NoLibTorch(folder);
}

absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenWaypoint(const std::string& folder,
                                                                 const ModelOptions&) {
  return NoLibTorch(folder);
}

}  // namespace firstbyte

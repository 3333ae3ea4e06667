#include "base/error.h"
#include "model/registry/families.h"

namespace firstbyte {

absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenAlignedMel(const std::string& folder,
                                                                   const ModelOptions&) {
  return Error(absl::StatusCode::kUnimplemented, "NO_LIBTORCH",
               folder + ": this build has no model families (FIRSTBYTE_TORCH=OFF)");
}

}  // namespace firstbyte

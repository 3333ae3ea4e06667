#include "base/error.h"
#include "model/registry/families.h"

namespace firstbyte {
namespace {

absl::Status NoLibTorch(const std::string& folder) {
  return Error(absl::StatusCode::kUnimplemented, "NO_LIBTORCH",
               folder + ": this build has no model families (FIRSTBYTE_TORCH=OFF)");
}

absl::StatusOr<std::vector<std::unique_ptr<Model>>> Open(const std::string& folder,
                                                         const ModelOptions&) {
  return NoLibTorch(folder);
}

absl::StatusOr<ModelInfo> Describe(const std::string& folder, const ModelOptions&) {
  return NoLibTorch(folder);
}

constexpr FamilyEngine kNone = {Open, Describe};
constexpr Family kFamilies[] = {
    {"aligned_mel", kNone, &kNone}, {"state_dit", kNone, &kNone}, {"waypoint-1.5", kNone, &kNone}};

}  // namespace

absl::Span<const Family> Families() { return kFamilies; }

}  // namespace firstbyte

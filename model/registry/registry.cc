#include "model/registry/registry.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/registry/families.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

absl::StatusOr<std::string> ModelType(const std::string& folder) {
  const std::string path = folder + "/config.json";
  std::ifstream file(path);
  if (!file) return Error(absl::StatusCode::kNotFound, "NO_MODEL", absl::StrCat("no ", path));
  auto json = nlohmann::json::parse(file, nullptr, false);
  if (!json.is_object() || !json.contains("model_type") || !json["model_type"].is_string()) {
    return Error(absl::StatusCode::kInvalidArgument, "BAD_CONFIG",
                 absl::StrCat(path, ": no model_type"));
  }
  return json["model_type"].get<std::string>();
}

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenModelFolder(const std::string& folder,
                                                                    const ModelOptions& options) {
  absl::StatusOr<std::string> type = ModelType(folder);
  if (!type.ok()) return type.status();
  if (*type == "aligned_mel") return OpenAlignedMel(folder, options);
  return Error(absl::StatusCode::kInvalidArgument, "UNKNOWN_FAMILY",
               absl::StrCat(folder, ": no model family is called \"", *type, "\""));
}

}  // namespace firstbyte

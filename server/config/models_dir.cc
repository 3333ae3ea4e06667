#include "server/config/models_dir.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace firstbyte {
namespace fs = std::filesystem;

absl::StatusOr<std::string> FindModelsDir(const std::string& binary) {
  std::error_code error;
  const fs::path bin = fs::weakly_canonical(binary, error).parent_path();
  const fs::path installed = bin.parent_path() / "share/firstbyte/models";
  if (fs::is_directory(installed, error)) return installed.string();
  for (fs::path up = bin; up != up.parent_path(); up = up.parent_path()) {
    // CMakePresets.json tells our tree from any other folder called models.
    if (fs::exists(up / "CMakePresets.json", error) && fs::is_directory(up / "models", error)) {
      return (up / "models").string();
    }
  }
  return absl::NotFoundError(absl::StrCat("no models folder: neither ", installed.string(),
                                          " nor models/ above ", bin.string(),
                                          "; name one with --models-dir"));
}

absl::StatusOr<std::vector<std::string>> ListModelFolders(const std::string& dir) {
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(dir, error)) {
    const bool described =
        fs::exists(entry.path() / "config.json") || fs::exists(entry.path() / "config.yaml");
    if (described && fs::exists(entry.path() / "model.safetensors")) {
      names.push_back(entry.path().filename().string());
    }
  }
  if (error) return absl::NotFoundError(absl::StrCat("cannot read ", dir, ": ", error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace firstbyte

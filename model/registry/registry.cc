#include "model/registry/registry.h"

#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/registry/families.h"
#include "nlohmann/json.hpp"
#include "yaml-cpp/yaml.h"

namespace firstbyte {
namespace {

absl::Status NoType(const std::string& path) {
  return Invalid("BAD_CONFIG", absl::StrCat(path, ": no model_type"));
}

absl::StatusOr<std::string> TypeInJson(const std::string& path, std::ifstream& file) {
  auto json = nlohmann::json::parse(file, nullptr, false);
  for (const char* key : {"model_type", "architecture"}) {
    if (json.is_object() && json.contains(key) && json[key].is_string()) {
      return json[key].get<std::string>();
    }
  }
  return NoType(path);
}

absl::StatusOr<std::string> TypeInYaml(const std::string& path, std::ifstream& file) {
  try {
    const YAML::Node root = YAML::Load(file);
    if (!root.IsMap() || !root["model_type"] || !root["model_type"].IsScalar()) return NoType(path);
    return root["model_type"].Scalar();
  } catch (const YAML::Exception& e) {
    return Invalid("BAD_CONFIG", absl::StrCat(path, ": ", e.what()));
  }
}

absl::StatusOr<std::string> ModelType(const std::string& folder) {
  const std::string json_path = folder + "/config.json", yaml_path = folder + "/config.yaml";
  if (std::ifstream json(json_path); json) return TypeInJson(json_path, json);
  if (std::ifstream yaml(yaml_path); yaml) return TypeInYaml(yaml_path, yaml);
  return Error(absl::StatusCode::kNotFound, "NO_MODEL", absl::StrCat("no ", json_path));
}

absl::StatusOr<const Family*> FamilyOf(const std::string& folder) {
  absl::StatusOr<std::string> type = ModelType(folder);
  if (!type.ok()) return type.status();
  for (const Family& family : Families()) {
    if (*type == family.type) return &family;
  }
  return Invalid("UNKNOWN_FAMILY",
                 absl::StrCat(folder, ": no model family is called \"", *type, "\""));
}

absl::StatusOr<FamilyEngine> EngineFor(const std::string& folder, const ModelOptions& options) {
  absl::StatusOr<const Family*> family = FamilyOf(folder);
  if (!family.ok()) return family.status();
  if (!options.gpu) return (*family)->cpu;
  if ((*family)->gpu != nullptr) return *(*family)->gpu;
  return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
               absl::StrCat(folder, ": models of the family ", (*family)->type,
                            " do not run on a GPU: serve others with --models, or use --device "
                            "cpu"));
}

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<Model>>> OpenModelFolder(const std::string& folder,
                                                                    const ModelOptions& options) {
  absl::StatusOr<FamilyEngine> engine = EngineFor(folder, options);
  if (!engine.ok()) return engine.status();
  return engine->open(folder, options);
}

absl::StatusOr<ModelInfo> DescribeModelFolder(const std::string& folder,
                                              const ModelOptions& options) {
  absl::StatusOr<FamilyEngine> engine = EngineFor(folder, options);
  if (!engine.ok()) return engine.status();
  return engine->describe(folder, options);
}

absl::StatusOr<ModelFiles> LookIntoModelFolder(const std::string& folder) {
  absl::StatusOr<const Family*> family = FamilyOf(folder);
  if (!family.ok()) return family.status();
  ModelFiles files{.family = (*family)->type};
  std::error_code error;  // ends the walk: then it is as much as was seen
  for (auto file = std::filesystem::directory_iterator(folder, error);
       !error && file != std::filesystem::directory_iterator(); file.increment(error)) {
    if (file->path().extension() != ".safetensors") continue;
    const auto bytes = file->file_size(error);
    if (!error) files.weight_bytes += static_cast<int64_t>(bytes);
  }
  return files;
}

}  // namespace firstbyte

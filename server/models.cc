#include "server/models.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "model/registry/registry.h"
#include "model/scripted.h"
#include "model/scripted_world.h"
#include "nlohmann/json.hpp"
#include "server/config/models_dir.h"

namespace firstbyte {
namespace {

using Copies = std::vector<std::unique_ptr<Model>>;  // one a lane

// Models without weights, for trying and testing the server.
bool IsScripted(const std::string& name) { return name == "scripted" || name == "scripted-world"; }

template <typename Options>
Copies OpenScripted(const Config& config, std::unique_ptr<Model> (*make)(Options)) {
  Options options;
  if (config.max_streams > 0) options.slots = config.max_streams;
  if (config.max_batch > 0) options.max_batch = config.max_batch;
  Copies copies;
  for (int i = 0; i < config.lanes; ++i) copies.push_back(make(options));
  return copies;
}

absl::StatusOr<Copies> OpenOne(const Config& config, const std::string& dir,
                               const std::string& name) {
  if (name == "scripted") return OpenScripted(config, MakeScriptedModel);
  if (name == "scripted-world") return OpenScripted(config, MakeScriptedWorld);
  return OpenModelFolder(
      absl::StrCat(dir, "/", name),
      {.lanes = config.lanes, .slots = config.max_streams, .max_batch = config.max_batch});
}

// Names of the models to serve; `dir` becomes the folder they are in.
absl::StatusOr<std::vector<std::string>> ModelNames(const Config& config, const std::string& binary,
                                                    std::string* dir) {
  if (!config.models.empty() &&
      std::all_of(config.models.begin(), config.models.end(), IsScripted)) {
    return config.models;
  }
  *dir = config.models_dir;
  if (dir->empty()) {
    absl::StatusOr<std::string> found = FindModelsDir(binary);
    if (!found.ok()) return found.status();
    *dir = *found;
  }
  if (!config.models.empty()) return config.models;
  absl::StatusOr<std::vector<std::string>> names = ListModelFolders(*dir);
  if (names.ok() && names->empty()) return absl::NotFoundError(absl::StrCat("no models in ", *dir));
  return names;
}

}  // namespace

absl::StatusOr<std::vector<std::vector<std::unique_ptr<Model>>>> OpenModels(
    const Config& config, const std::string& binary) {
  std::string dir;
  absl::StatusOr<std::vector<std::string>> names = ModelNames(config, binary, &dir);
  if (!names.ok()) return names.status();
  std::vector<std::vector<std::unique_ptr<Model>>> lanes(config.lanes);
  for (const std::string& name : *names) {
    absl::StatusOr<Copies> copies = OpenOne(config, dir, name);
    if (!copies.ok()) return copies.status();
    for (int i = 0; i < config.lanes; ++i) lanes[i].push_back(std::move((*copies)[i]));
    LogInfo("model_loaded", {{"model", name}, {"slots", lanes[0].back()->info().slots}});
  }
  return lanes;
}

}  // namespace firstbyte

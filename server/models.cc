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

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

ModelOptions OptionsOf(const Config& config) {
  return {.lanes = config.lanes, .slots = config.max_streams, .max_batch = config.max_batch};
}

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
  return OpenModelFolder(absl::StrCat(dir, "/", name), OptionsOf(config));
}

// `slots`: what was listed is what there will be, whenever it is loaded.
absl::StatusOr<ModelSource> SourceOf(const Config& config, const std::string& dir,
                                     const std::string& name, int slots) {
  Config sized = config;
  sized.max_streams = slots;
  ModelSource source{.open = [sized, dir, name] { return OpenOne(sized, dir, name); },
                     .architecture = name};
  if (IsScripted(name)) return source;
  absl::StatusOr<ModelFiles> files = LookIntoModelFolder(absl::StrCat(dir, "/", name));
  if (!files.ok()) return files.status();
  source.architecture = files->family;
  source.weight_bytes = files->weight_bytes;
  return source;
}

absl::StatusOr<LazyModel> ListOne(const Config& config, const std::string& dir,
                                  const std::string& name) {
  absl::StatusOr<ModelInfo> info = absl::UnknownError("");
  if (IsScripted(name)) {
    info = (*OpenOne(config, dir, name))[0]->info();
  } else {
    info = DescribeModelFolder(absl::StrCat(dir, "/", name), OptionsOf(config));
  }
  if (!info.ok()) return info.status();
  absl::StatusOr<ModelSource> source = SourceOf(config, dir, name, info->slots);
  if (!source.ok()) return source.status();
  LogInfo("model_listed", {{"model", name}, {"slots", info->slots}});
  return LazyModel{*std::move(info), *std::move(source)};
}

absl::Status AddResident(const Config& config, const std::string& dir, const std::string& name,
                         ServedModels* models) {
  absl::StatusOr<Copies> copies = OpenOne(config, dir, name);
  if (!copies.ok()) return copies.status();
  const int slots = (*copies)[0]->info().slots;
  absl::StatusOr<ModelSource> source = SourceOf(config, dir, name, slots);
  if (!source.ok()) return source.status();
  models->sources.push_back(*std::move(source));
  for (int i = 0; i < config.lanes; ++i) models->lanes[i].push_back(std::move((*copies)[i]));
  LogInfo("model_loaded", {{"model", name}, {"slots", slots}});
  return absl::OkStatus();
}

// Names of the models to serve, the lazy ones among them; `dir` becomes the folder they are in.
absl::StatusOr<std::vector<std::string>> ModelNames(const Config& config, const std::string& binary,
                                                    std::string* dir) {
  std::vector<std::string> names = config.models;
  for (const std::string& lazy : config.lazy_models) {
    if (!names.empty() && !Contains(names, lazy)) names.push_back(lazy);
  }
  if (!names.empty() && std::all_of(names.begin(), names.end(), IsScripted)) return names;
  *dir = config.models_dir;
  if (dir->empty()) {
    absl::StatusOr<std::string> found = FindModelsDir(binary);
    if (!found.ok()) return found.status();
    *dir = *found;
  }
  if (!names.empty()) return names;
  absl::StatusOr<std::vector<std::string>> all = ListModelFolders(*dir);
  if (!all.ok()) return all.status();
  if (all->empty()) return absl::NotFoundError(absl::StrCat("no models in ", *dir));
  for (const std::string& lazy : config.lazy_models) {
    if (!Contains(*all, lazy)) all->push_back(lazy);
  }
  return all;
}

}  // namespace

absl::StatusOr<ServedModels> OpenModels(const Config& config, const std::string& binary) {
  std::string dir;
  absl::StatusOr<std::vector<std::string>> names = ModelNames(config, binary, &dir);
  if (!names.ok()) return names.status();
  ServedModels models;
  models.lanes.resize(config.lanes);
  for (const std::string& name : *names) {
    if (Contains(config.lazy_models, name)) {
      absl::StatusOr<LazyModel> lazy = ListOne(config, dir, name);
      if (!lazy.ok()) return lazy.status();
      models.lazy.push_back(*std::move(lazy));
    } else if (auto added = AddResident(config, dir, name, &models); !added.ok()) {
      return added;
    }
  }
  return models;
}

}  // namespace firstbyte

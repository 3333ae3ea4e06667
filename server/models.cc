#include "server/models.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
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

ModelOptions OptionsOf(const Config& config, const std::optional<cuda::GpuOptions>& gpus) {
  return {.lanes = config.lanes,
          .slots = config.max_streams,
          .max_batch = config.max_batch,
          .gpu = gpus};
}

// Models without weights, for trying and testing the server.
bool IsScripted(const std::string& name) { return name == "scripted" || name == "scripted-world"; }

template <typename Options>
absl::StatusOr<Copies> OpenScripted(const ModelOptions& wanted,
                                    std::unique_ptr<Model> (*make)(Options)) {
  if (wanted.gpu) {
    return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
                 "scripted models do not run on a GPU: use --device cpu");
  }
  Options options;
  if (wanted.slots > 0) options.slots = wanted.slots;
  if (wanted.max_batch > 0) options.max_batch = wanted.max_batch;
  Copies copies;
  for (int i = 0; i < wanted.lanes; ++i) copies.push_back(make(options));
  return copies;
}

absl::StatusOr<Copies> OpenOne(const ModelOptions& options, const std::string& dir,
                               const std::string& name) {
  if (name == "scripted") return OpenScripted(options, MakeScriptedModel);
  if (name == "scripted-world") return OpenScripted(options, MakeScriptedWorld);
  return OpenModelFolder(absl::StrCat(dir, "/", name), options);
}

// `slots`: what was listed is what there will be, whenever it is loaded.
absl::StatusOr<ModelSource> SourceOf(const ModelOptions& options, const std::string& dir,
                                     const std::string& name, int slots) {
  ModelOptions sized = options;
  sized.slots = slots;
  ModelSource source{.open = [sized, dir, name] { return OpenOne(sized, dir, name); },
                     .architecture = name};
  if (IsScripted(name)) return source;
  absl::StatusOr<ModelFiles> files = LookIntoModelFolder(absl::StrCat(dir, "/", name));
  if (!files.ok()) return files.status();
  source.architecture = files->family;
  source.weight_bytes = files->weight_bytes;
  return source;
}

absl::StatusOr<ModelInfo> DescribeOne(const ModelOptions& options, const std::string& dir,
                                      const std::string& name) {
  if (!IsScripted(name)) return DescribeModelFolder(absl::StrCat(dir, "/", name), options);
  absl::StatusOr<Copies> copies = OpenOne(options, dir, name);
  if (!copies.ok()) return copies.status();
  return (*copies)[0]->info();
}

absl::StatusOr<LazyModel> ListOne(const ModelOptions& options, const std::string& dir,
                                  const std::string& name) {
  absl::StatusOr<ModelInfo> info = DescribeOne(options, dir, name);
  if (!info.ok()) return info.status();
  absl::StatusOr<ModelSource> source = SourceOf(options, dir, name, info->slots);
  if (!source.ok()) return source.status();
  LogInfo("model_listed", {{"model", name}, {"slots", info->slots}});
  return LazyModel{*std::move(info), *std::move(source)};
}

absl::Status AddResident(const ModelOptions& options, const std::string& dir,
                         const std::string& name, ServedModels* models) {
  absl::StatusOr<Copies> copies = OpenOne(options, dir, name);
  if (!copies.ok()) return copies.status();
  const int slots = (*copies)[0]->info().slots;
  absl::StatusOr<ModelSource> source = SourceOf(options, dir, name, slots);
  if (!source.ok()) return source.status();
  models->sources.push_back(*std::move(source));
  for (int i = 0; i < options.lanes; ++i) models->lanes[i].push_back(std::move((*copies)[i]));
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

absl::StatusOr<ServedModels> OpenModels(const Config& config,
                                        const std::optional<cuda::GpuOptions>& gpus,
                                        const std::string& binary) {
  std::string dir;
  absl::StatusOr<std::vector<std::string>> names = ModelNames(config, binary, &dir);
  if (!names.ok()) return names.status();
  ServedModels models;
  const ModelOptions options = OptionsOf(config, gpus);
  models.lanes.resize(options.lanes);
  for (const std::string& name : *names) {
    if (Contains(config.lazy_models, name)) {
      absl::StatusOr<LazyModel> lazy = ListOne(options, dir, name);
      if (!lazy.ok()) return lazy.status();
      models.lazy.push_back(*std::move(lazy));
    } else if (auto added = AddResident(options, dir, name, &models); !added.ok()) {
      return added;
    }
  }
  return models;
}

}  // namespace firstbyte

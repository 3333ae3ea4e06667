#include "model/world/state_dit/world.h"

#include "absl/strings/str_cat.h"
#include "model/io/config_reader.h"
#include "model/io/safetensors.h"
#include "model/no_memory.h"

namespace firstbyte::state_dit {
namespace {

absl::Status Build(const SafeTensors& file, const kernels::KernelTable& kernels, World* world) {
  nn::WeightLoader weights(file, kernels);
  const Config& config = world->config;
  world->prompt = Prompt(config, &weights);
  world->dynamics = Dynamics(config, kernels, &weights);
  world->renderer = Renderer(config, kernels, &weights);
  world->dit = Dit(config, kernels, &weights);
  world->encoder = Encoder(config, &weights);
  world->decoder = Decoder(config, kernels, &weights);
  world->audio = AudioCode(config, kernels, &weights);
  world->localizer = Localizer(config, &weights);
  return weights.status();
}

// Of a path, without slashes at its end.
std::string LastComponent(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  return folder.substr(folder.rfind('/') + 1);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const World>> World::Load(const std::string& folder,
                                                         const kernels::KernelTable& kernels) {
  absl::StatusOr<std::string> json = ReadSmallFile(folder + "/config.json");
  if (!json.ok()) return json.status();
  absl::StatusOr<Config> config = ParseConfig(*json);
  if (!config.ok()) return config.status();
  absl::StatusOr<SafeTensors> file = SafeTensors::Open(folder + "/model.safetensors");
  if (!file.ok()) return file.status();
  auto world = std::make_shared<World>();
  world->config = *std::move(config);
  if (world->config.name.empty()) world->config.name = LastComponent(folder);
  world->version = file->Digest();
  absl::Status built = OrNoMemory(absl::StrCat("loading ", folder),
                                  [&] { return Build(*file, kernels, world.get()); });
  if (!built.ok()) return built;
  return world;
}

}  // namespace firstbyte::state_dit

#include "model/world/state_dit/world.h"

#include "absl/strings/str_cat.h"
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

}  // namespace

absl::StatusOr<std::shared_ptr<const World>> World::Load(const std::string& folder,
                                                         const kernels::KernelTable& kernels) {
  absl::StatusOr<Config> config = ReadConfig(folder);
  if (!config.ok()) return config.status();
  absl::StatusOr<SafeTensors> file = SafeTensors::Open(folder + "/model.safetensors");
  if (!file.ok()) return file.status();
  auto world = std::make_shared<World>();
  world->kernels = &kernels;
  world->config = *std::move(config);
  world->version = file->Digest();
  absl::Status built = OrNoMemory(absl::StrCat("loading ", folder),
                                  [&] { return Build(*file, kernels, world.get()); });
  if (!built.ok()) return built;
  return world;
}

}  // namespace firstbyte::state_dit

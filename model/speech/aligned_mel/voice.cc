#include "model/speech/aligned_mel/voice.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "model/io/safetensors.h"
#include "model/no_memory.h"

namespace firstbyte::aligned_mel {
namespace {

absl::Status Build(const SafeTensors& file, const kernels::KernelTable& kernels, Voice* voice) {
  nn::WeightLoader weights(file, kernels);
  const Config& config = voice->config;
  std::vector<float> mean = weights.LoadVector("stats_mean", kFeatures);
  std::vector<float> std = weights.LoadVector("stats_std", kFeatures);
  PitchScale pitch;
  if (weights.status().ok()) pitch = {mean[kLogF0], std[kLogF0]};
  voice->durations = DurationModel(config, kernels, &weights);
  voice->conditioner = Conditioner(config, &weights);
  voice->acoustic = AcousticModel(config.acoustic, kernels, &weights);
  voice->vocoder = Vocoder(config.vocoder, pitch, kernels, &weights);
  return weights.status();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Voice>> Voice::Load(const std::string& folder,
                                                         const kernels::KernelTable& kernels) {
  absl::StatusOr<Config> config = ReadConfig(folder);
  if (!config.ok()) return config.status();
  absl::StatusOr<SafeTensors> file = SafeTensors::Open(folder + "/model.safetensors");
  if (!file.ok()) return file.status();
  auto voice = std::make_shared<Voice>();
  voice->config = *std::move(config);
  voice->version = file->Digest();
  absl::Status built = OrNoMemory(absl::StrCat("loading ", folder),
                                  [&] { return Build(*file, kernels, voice.get()); });
  if (!built.ok()) return built;
  voice->front_end = std::make_unique<FrontEnd>(voice->config.phones);
  return voice;
}

}  // namespace firstbyte::aligned_mel

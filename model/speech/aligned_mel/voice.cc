#include "model/speech/aligned_mel/voice.h"

#include <cstring>
#include <exception>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "model/io/safetensors.h"

namespace firstbyte::aligned_mel {
namespace {

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error(absl::StatusCode::kNotFound, "NO_MODEL", absl::StrCat("no ", path));
  std::string text(1 << 20, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

// FNV-1a over every tensor's bytes, eight at a time: names the weights, protects against nothing.
std::string Digest(const SafeTensors& file) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const auto& [name, view] : file.tensors()) {
    for (size_t i = 0; i < view.bytes.size(); i += 8) {
      uint64_t word = 0;
      std::memcpy(&word, view.bytes.data() + i, std::min<size_t>(8, view.bytes.size() - i));
      hash = (hash ^ word) * 0x100000001b3;
      hash ^= hash >> 32;
    }
  }
  return absl::StrFormat("%016x", hash);
}

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
  absl::StatusOr<std::string> json = ReadSmallFile(folder + "/config.json");
  if (!json.ok()) return json.status();
  absl::StatusOr<Config> config = ParseConfig(*json);
  if (!config.ok()) return config.status();
  absl::StatusOr<SafeTensors> file = SafeTensors::Open(folder + "/model.safetensors");
  if (!file.ok()) return file.status();
  auto voice = std::make_shared<Voice>();
  voice->config = *std::move(config);
  voice->version = Digest(*file);
  try {  // LibTorch reports a failed allocation by an exception
    absl::Status built = Build(*file, kernels, voice.get());
    if (!built.ok()) return built;
  } catch (const std::exception& e) {
    return Error(absl::StatusCode::kResourceExhausted, "NO_MEMORY",
                 absl::StrCat("loading ", folder, ": ", e.what()));
  }
  voice->front_end = std::make_unique<FrontEnd>(voice->config.phones);
  return voice;
}

}  // namespace firstbyte::aligned_mel

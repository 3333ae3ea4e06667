#include "model/speech/aligned_mel/config.h"

#include <algorithm>

#include "model/io/config_reader.h"
#include "nlohmann/json.hpp"

namespace firstbyte::aligned_mel {
namespace {

AcousticConfig ReadAcoustic(ConfigReader r) {
  AcousticConfig c;
  c.hidden_size = r.Int("hidden_size", 1, 4096);
  c.num_hidden_layers = r.Int("num_hidden_layers", 1, 64);
  c.num_attention_heads = r.Int("num_attention_heads", 1, 64);
  r.Exactly("head_dim", 64);
  c.intermediate_size = r.Int("intermediate_size", 1, 16384);
  c.rms_norm_eps = r.Number("rms_norm_eps", 1e-12, 1e-2);
  c.rope_theta = r.Number("rope_theta", 1, 1e9);
  c.sliding_window = r.Int("sliding_window", 16, 128);
  if (c.sliding_window % 16 != 0) r.Fail("sliding_window", "must be a multiple of 16");
  c.phones_ahead = r.Int("phones_ahead", 1, 16);
  c.phone_embedding_size = r.Int("phone_embedding_size", 1, 1024);
  r.Exactly("num_condition_numbers", 5);
  c.feedback_size = r.Int("feedback_size", 1, 4096);
  std::vector<int> sizes = r.Ints("condition_sizes", 2, 1, 4096);
  c.first_condition_size = sizes[0];
  c.second_condition_size = sizes[1];
  return c;
}

DurationConfig ReadDuration(ConfigReader r) {
  DurationConfig c;
  c.phone_embedding_size = r.Int("phone_embedding_size", 1, 1024);
  c.phones_before = r.Int("phones_before", 0, 16);
  c.phones_after = r.Int("phones_after", 0, 16);
  c.flags_before = r.Int("flags_before", 0, 16);
  c.flags_after = r.Int("flags_after", 0, 16);
  c.hidden_size = r.Int("hidden_size", 1, 4096);
  c.scale_mel_frames = r.Number("scale_mel_frames", 0.1, 100);
  return c;
}

VocoderConfig ReadVocoder(ConfigReader r) {
  VocoderConfig c;
  c.hidden_size = r.Int("hidden_size", 1, 4096);
  c.num_layers = r.Int("num_layers", 1, 32);
  r.Exactly("kernel_size", 3);
  r.Exactly("look_ahead_mel_frames", 1);
  r.Exactly("subframe_samples", 80);
  r.Exactly("fft_size", 512);
  c.harmonic_cepstra = r.Int("harmonic_cepstra", 1, 64);
  c.noise_cepstra = r.Int("noise_cepstra", 1, 64);
  c.warp = r.Number("warp", 0, 0.9);
  c.output_scale = r.Number("output_scale", 1, 1e6);
  r.Number("harmonic_band", 0.48, 0.48);
  r.Number("pulse_epsilon", 3e-5, 3e-5);
  r.Exactly("noise_purpose", 1);
  return c;
}

void ReadPhones(ConfigReader r, Config* config) {
  config->phones = r.Strings("phones");
  const std::string pause = r.String("pause_phone");
  auto found = std::find(config->phones.begin(), config->phones.end(), pause);
  if (found == config->phones.end()) r.Fail("pause_phone", "must be in phones");
  config->pause_phone = static_cast<int>(found - config->phones.begin());
  config->first_pause_mel_frames = r.Int("first_pause_mel_frames", 1, 100);
}

}  // namespace

absl::StatusOr<Config> ParseConfig(absl::string_view text) {
  absl::StatusOr<nlohmann::json> json = ParseConfigObject(text);
  if (!json.ok()) return json.status();
  absl::Status status;
  ConfigReader root(&*json, "", &status);
  Config config;
  config.name = root.String("name");
  for (ConfigReader& voice : root.Objects("voices")) {
    config.voices.push_back({voice.String("name"), voice.Strings("language_codes")});
  }
  root.Exactly("sample_rate", kSampleRate);
  root.Exactly("mel_frame_samples", kFrameSamples / kStack);
  root.Exactly("mel_frames_per_frame", kStack);
  root.Exactly("num_mels", kMels);
  root.Exactly("num_features", kFeatures);
  root.Exactly("num_flags", kFlags);
  ReadPhones(root, &config);
  config.acoustic = ReadAcoustic(root.Object("acoustic"));
  config.duration = ReadDuration(root.Object("duration"));
  config.vocoder = ReadVocoder(root.Object("vocoder"));
  if (!status.ok()) return status;
  return config;
}

absl::StatusOr<Config> ReadConfig(const std::string& folder) {
  absl::StatusOr<std::string> json = ReadSmallFile(folder + "/config.json");
  if (!json.ok()) return json.status();
  return ParseConfig(*json);
}

}  // namespace firstbyte::aligned_mel

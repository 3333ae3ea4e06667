// config.json of an aligned_mel voice, checked.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace firstbyte::aligned_mel {

// Fixed by the architecture (and by kernels/kernels.h); a config.json that says otherwise is
// refused.
inline constexpr int kMels = 80;
inline constexpr int kFeatures = 82;  // log-mels, log F0, voicing
inline constexpr int kLogF0 = 80, kVoicing = 81;
inline constexpr int kFlags = 28;
inline constexpr int kStack = 4;  // mel frames in a frame
inline constexpr int kFrameFeatures = kStack * kFeatures;
inline constexpr int kFrameSamples = 640;
inline constexpr int kSampleRate = 16000;

struct VoiceEntry {
  std::string name;
  std::vector<std::string> language_codes;
};

struct AcousticConfig {
  int hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, sliding_window;
  int phones_ahead, phone_embedding_size, feedback_size;
  int first_condition_size, second_condition_size;
  double rms_norm_eps, rope_theta;
};

struct DurationConfig {
  int phone_embedding_size, phones_before, phones_after, flags_before, flags_after, hidden_size;
  double scale_mel_frames;
};

struct VocoderConfig {
  int hidden_size, num_layers, harmonic_cepstra, noise_cepstra;
  double warp, output_scale;
};

struct Config {
  std::string name;
  std::vector<VoiceEntry> voices;
  std::vector<std::string> phones;  // index 0 is padding
  int pause_phone;                  // index into phones
  int first_pause_mel_frames;
  AcousticConfig acoustic;
  DurationConfig duration;
  VocoderConfig vocoder;
};

// INVALID_ARGUMENT (BAD_CONFIG) names the key that is missing, of the wrong type or out of range.
absl::StatusOr<Config> ParseConfig(absl::string_view json);
// The same of a folder's config.json; also NOT_FOUND.
absl::StatusOr<Config> ReadConfig(const std::string& folder);

}  // namespace firstbyte::aligned_mel

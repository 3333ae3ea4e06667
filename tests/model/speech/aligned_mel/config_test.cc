#include "model/speech/aligned_mel/config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace firstbyte::aligned_mel {
namespace {

using testing::HasSubstr;

nlohmann::json Good() {
  return nlohmann::json::parse(R"({
    "model_type": "aligned_mel", "name": "test", "voices": [{"name": "v", "language_codes": ["en"]}],
    "sample_rate": 16000, "mel_frame_samples": 160, "mel_frames_per_frame": 4, "num_mels": 80,
    "num_features": 82, "num_flags": 28, "phones": ["<pad>", "pau", "aa"], "pause_phone": "pau",
    "first_pause_mel_frames": 2,
    "acoustic": {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
      "head_dim": 64, "intermediate_size": 704, "rms_norm_eps": 1e-5, "rope_theta": 1000,
      "sliding_window": 32, "phones_ahead": 4, "phone_embedding_size": 40,
      "num_condition_numbers": 5, "condition_sizes": [256, 96], "feedback_size": 128},
    "duration": {"phone_embedding_size": 24, "phones_before": 3, "phones_after": 3,
      "flags_before": 2, "flags_after": 2, "hidden_size": 192, "scale_mel_frames": 5},
    "vocoder": {"hidden_size": 192, "num_layers": 3, "kernel_size": 3, "look_ahead_mel_frames": 1,
      "subframe_samples": 80, "fft_size": 512, "harmonic_cepstra": 40, "noise_cepstra": 25,
      "warp": 0.42, "harmonic_band": 0.48, "pulse_epsilon": 3e-5, "noise_purpose": 1,
      "output_scale": 20000}})");
}

std::string MessageOf(const nlohmann::json& json) {
  auto config = ParseConfig(json.dump());
  return config.ok() ? "OK" : std::string(config.status().message());
}

TEST(Config, ReadsAVoice) {
  auto config = ParseConfig(Good().dump());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->pause_phone, 1);
  EXPECT_EQ(config->acoustic.second_condition_size, 96);
  EXPECT_EQ(config->voices[0].language_codes[0], "en");
}

TEST(Config, NamesTheKeyAtFault) {
  auto with = [](const char* pointer, nlohmann::json value) {
    nlohmann::json json = Good();
    json[nlohmann::json::json_pointer(pointer)] = std::move(value);
    return MessageOf(json);
  };
  EXPECT_THAT(with("/acoustic/hidden_size", -1), HasSubstr("acoustic.hidden_size"));
  EXPECT_THAT(with("/acoustic/hidden_size", "256"), HasSubstr("acoustic.hidden_size"));
  EXPECT_THAT(with("/acoustic/sliding_window", 40), HasSubstr("multiple of 16"));
  EXPECT_THAT(with("/acoustic/condition_sizes", {256}), HasSubstr("condition_sizes"));
  EXPECT_THAT(with("/vocoder", 3), HasSubstr("vocoder.hidden_size"));
  EXPECT_THAT(with("/vocoder/fft_size", 1024), HasSubstr("vocoder.fft_size"));
  EXPECT_THAT(with("/pause_phone", "zz"), HasSubstr("pause_phone"));
  EXPECT_THAT(with("/phones", nlohmann::json::array()), HasSubstr("phones"));
  EXPECT_THAT(with("/voices", {{{"name", 3}}}), HasSubstr("voices[].name"));
  EXPECT_THAT(with("/duration/scale_mel_frames", 0), HasSubstr("scale_mel_frames"));
}

TEST(Config, RefusesWhatIsNoConfig) {
  for (const char* text : {"", "[]", "{", "{}", "null"})
    EXPECT_FALSE(ParseConfig(text).ok()) << text;
}

}  // namespace
}  // namespace firstbyte::aligned_mel

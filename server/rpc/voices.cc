#include "server/rpc/voices.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace firstbyte {
namespace {

// "en" asks for any English; "en-US" for that one.
bool Speaks(const VoiceInfo& voice, const std::string& language) {
  return language.empty() ||
         std::any_of(voice.language_codes.begin(), voice.language_codes.end(),
                     [&](const std::string& code) {
                       return absl::EqualsIgnoreCase(code, language) ||
                              absl::StartsWithIgnoreCase(code, absl::StrCat(language, "-"));
                     });
}

void FillVoice(const ModelInfo& model, const VoiceInfo& voice, v1::Voice* out) {
  out->set_name(voice.name);
  out->set_model(model.name);
  out->set_description(voice.description);
  for (const std::string& code : voice.language_codes) out->add_language_codes(code);
  out->set_sample_rate_hertz(model.sample_rate_hertz);
  out->add_supported_sampling_fields("seed");
  for (const std::string& field : model.sampling_fields) out->add_supported_sampling_fields(field);
  out->add_supported_encodings(v1::AUDIO_ENCODING_PCM16);
  out->add_supported_encodings(v1::AUDIO_ENCODING_WAV);
  out->add_supported_encodings(v1::AUDIO_ENCODING_OPUS);
  out->set_min_speaking_rate(static_cast<float>(model.min_speaking_rate));
  out->set_max_speaking_rate(static_cast<float>(model.max_speaking_rate));
}

}  // namespace

void FillVoices(const std::vector<const ModelInfo*>& models, const v1::ListVoicesRequest& request,
                v1::ListVoicesResponse* response) {
  const ModelInfo* first = nullptr;  // the default; worlds have no voices
  for (const ModelInfo* model : models) {
    if (!first && !model->voices.empty()) first = model;
    if (!request.model().empty() && request.model() != model->name) continue;
    for (const VoiceInfo& voice : model->voices) {
      if (!Speaks(voice, request.language_code())) continue;
      v1::Voice* out = response->add_voices();
      FillVoice(*model, voice, out);
      out->set_is_default(model == first && &voice == &model->voices.front());
    }
  }
  std::sort(response->mutable_voices()->begin(), response->mutable_voices()->end(),
            [](const v1::Voice& a, const v1::Voice& b) { return a.name() < b.name(); });
}

}  // namespace firstbyte

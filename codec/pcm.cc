#include "codec/pcm.h"

#include <algorithm>
#include <cstdint>

namespace firstbyte {
namespace {

int16_t ToInt16(float sample) {
  float scaled = sample * 32768.0f;
  if (!(scaled == scaled)) scaled = 0.0f;
  scaled = std::clamp(scaled, -32768.0f, 32767.0f);
  // Not lrintf: it follows the rounding mode of whoever called, and does not vectorise.
  return static_cast<int16_t>(scaled + (scaled < 0.0f ? -0.5f : 0.5f));
}

}  // namespace

void AppendPcm16(absl::Span<const float> samples, std::string* out) {
  size_t at = out->size();
  out->resize(at + samples.size() * 2);
  for (float sample : samples) {
    auto bits = static_cast<uint16_t>(ToInt16(sample));
    (*out)[at++] = static_cast<char>(bits & 0xff);
    (*out)[at++] = static_cast<char>(bits >> 8);
  }
}

std::vector<float> FloatFromPcm16(absl::string_view bytes) {
  std::vector<float> samples(bytes.size() / 2);
  for (size_t i = 0; i < samples.size(); ++i) {
    auto low = static_cast<uint8_t>(bytes[2 * i]);
    auto high = static_cast<uint8_t>(bytes[2 * i + 1]);
    samples[i] = static_cast<float>(static_cast<int16_t>(low | high << 8)) / 32768.0f;
  }
  return samples;
}

}  // namespace firstbyte

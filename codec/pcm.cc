#include "codec/pcm.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

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

// Whole samples, not bytes: a loop over bytes does not become vectors.
static_assert(std::endian::native == std::endian::little);

void AppendPcm16(absl::Span<const float> samples, std::string* out) {
  const size_t before = out->size();
  out->resize(before + samples.size() * sizeof(int16_t));
  char* to = out->data() + before;
  for (size_t i = 0; i < samples.size(); ++i) {
    const int16_t sample = ToInt16(samples[i]);
    std::memcpy(to + i * sizeof(sample), &sample, sizeof(sample));
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

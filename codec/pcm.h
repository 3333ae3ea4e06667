// 16-bit linear PCM, little-endian: what PCM16 and WAV carry.
//
// Full scale is 32768, so PCM16 -> float -> PCM16 is the identity. Pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace firstbyte {

// Appends `samples` ([-1, 1], any rate) to `out`, two bytes each: rounded half away from zero,
// clipped to the range; NaN becomes silence.
void AppendPcm16(absl::Span<const float> samples, std::string* out);

// The inverse. A trailing odd byte is dropped.
std::vector<float> FloatFromPcm16(absl::string_view bytes);

}  // namespace firstbyte

// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3" (SC 2011). The value at a place depends on nothing but (key, counter), so noise is the
// same however a stream is cut into steps.
#pragma once

#include <array>
#include <cstdint>

namespace firstbyte::kernels {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

PhiloxCounter Philox4x32(PhiloxCounter counter, PhiloxKey key);

// What a stream's randomness is for; part of the counter, so that uses never share values.
enum class NoisePurpose : uint32_t { kExcitation = 1 };

// out[i] = noise sample `first` + i of the stream, uniform in [-sqrt 3, sqrt 3) (variance 1).
// Key = seed, counter = (sample / 4, purpose), sample % 4 selects the word.
void UniformNoise(uint64_t seed, int64_t first, int count, NoisePurpose purpose, float* out);

}  // namespace firstbyte::kernels

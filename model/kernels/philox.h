// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3" (SC 2011). The value at a place depends on nothing but (key, counter), so noise is the
// same however a stream is cut into steps.
#pragma once

#include <array>
#include <cstdint>

namespace firstbyte::kernels {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

// In the header, and constexpr, because the kernels of model/cuda call it on the device.
constexpr PhiloxCounter Philox4x32(PhiloxCounter c, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c[0], b = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;  // golden ratio
    key[1] += 0xBB67AE85;  // sqrt 3 - 1
  }
  return c;
}

// What a stream's randomness is for; part of the counter, so that uses never share values. 2 is a
// world's latent noise (model/world/waypoint/noise.cc).
enum class NoisePurpose : uint32_t { kExcitation = 1, kToken = 3, kWeights = 4 };

// out[i] = noise sample `first` + i of the stream, uniform in [-sqrt 3, sqrt 3) (variance 1).
// Key = seed, counter = (sample / 4, purpose), sample % 4 selects the word.
void UniformNoise(uint64_t seed, int64_t first, int count, NoisePurpose purpose, float* out);

}  // namespace firstbyte::kernels

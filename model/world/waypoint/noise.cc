#include "model/world/waypoint/noise.h"

#include <cmath>
#include <numbers>

#include "model/kernels/philox.h"

namespace firstbyte::waypoint {
namespace {

constexpr uint32_t kLatentNoise = 2;  // purpose; 1 is a voice's excitation

// In double, so that the float result does not depend on the last bits of log and cos.
void BoxMuller(uint32_t a, uint32_t b, float* out) {
  const double radius = std::sqrt(-2 * std::log((a >> 8) * 0x1p-24 + 0x1p-25));
  const double angle = 2 * std::numbers::pi * ((b >> 8) * 0x1p-24);
  out[0] = static_cast<float>(radius * std::cos(angle));
  out[1] = static_cast<float>(radius * std::sin(angle));
}

}  // namespace

void GaussianNoise(uint64_t seed, int64_t first, int count, float* out) {
  const kernels::PhiloxKey key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  for (int i = 0; i < count; i += 4) {
    const uint64_t block = static_cast<uint64_t>(first + i) / 4;
    const kernels::PhiloxCounter words = kernels::Philox4x32(
        {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), kLatentNoise, 0}, key);
    BoxMuller(words[0], words[1], out + i);
    BoxMuller(words[2], words[3], out + i + 2);
  }
}

}  // namespace firstbyte::waypoint

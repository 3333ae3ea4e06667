#include "model/kernels/philox.h"

namespace firstbyte::kernels {

void UniformNoise(uint64_t seed, int64_t first, int count, NoisePurpose purpose, float* out) {
  const PhiloxKey key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  const float scale = 0x1p-24f, root3 = 1.7320508075688772f;
  PhiloxCounter words{};
  int64_t block = -1;
  for (int i = 0; i < count; ++i) {
    const int64_t sample = first + i;
    if (sample / 4 != block) {
      block = sample / 4;
      words = Philox4x32({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                          static_cast<uint32_t>(purpose), 0},
                         key);
    }
    // 24 bits: exact in float, so the value does not depend on how the product is rounded.
    const float unit = static_cast<float>(words[sample % 4] >> 8) * scale;
    out[i] = (2.0f * unit - 1.0f) * root3;
  }
}

}  // namespace firstbyte::kernels

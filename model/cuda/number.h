// What activations and caches on a GPU are made of: float, or bfloat16 to move half the bytes; of
// products also half precision. Arithmetic is in float always.
#pragma once

#include <bit>
#include <cstdint>

#include "model/cuda/grid.h"

namespace firstbyte::cuda {

struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

FIRSTBYTE_DEVICE inline float FromBits(uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}
FIRSTBYTE_DEVICE inline uint32_t BitsOf(float x) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(x);
#else
  return std::bit_cast<uint32_t>(x);
#endif
}

FIRSTBYTE_DEVICE inline float ToFloat(float x) { return x; }
FIRSTBYTE_DEVICE inline float ToFloat(Bf16 x) { return FromBits(uint32_t{x.bits} << 16); }

FIRSTBYTE_DEVICE inline float ToFloat(F16 x) {
  const uint32_t sign = uint32_t{x.bits} >> 15 << 31, size = (x.bits & 0x7FFFu) << 13;
  if (size >= 0x7C00u << 13) return FromBits(sign | 0x7F800000u | size);  // infinity, NaN
  return FromBits(sign | BitsOf(FromBits(size) * 0x1p112f));              // of another exponent
}

FIRSTBYTE_DEVICE inline void Store(float x, float* to) { *to = x; }
// To the nearest, ties to even; a NaN stays one.
FIRSTBYTE_DEVICE inline void Store(float x, Bf16* to) {
  const uint32_t bits = BitsOf(x);
  const bool nan = (bits & 0x7FFFFFFF) > 0x7F800000;
  to->bits =
      static_cast<uint16_t>(nan ? bits >> 16 | 0x40 : (bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

FIRSTBYTE_DEVICE inline void Store(float x, F16* to) {
  const uint32_t sign = BitsOf(x) >> 31 << 15, size = BitsOf(x) & 0x7FFFFFFFu;
  uint32_t half = (size - 0x38000000u + 0xFFF + (size >> 13 & 1)) >> 13;
  // Below the least normal number the sum with 1/2 has just the digits that are kept.
  if (size < 0x38800000u) half = BitsOf(FromBits(size) + 0.5f) - BitsOf(0.5f);
  if (size >= 0x477FF000u) half = size > 0x7F800000u ? 0x7E00 : 0x7C00;  // NaN, infinity
  to->bits = static_cast<uint16_t>(sign | half);
}

// Sixteen bytes, read at once: `from` must be aligned to them.
template <typename T>
struct alignas(16) Pack {
  static constexpr int kCount = 16 / sizeof(T);
  T values[kCount];

  FIRSTBYTE_DEVICE static const Pack& At(const T* from) {
    return *reinterpret_cast<const Pack*>(from);
  }
};

}  // namespace firstbyte::cuda

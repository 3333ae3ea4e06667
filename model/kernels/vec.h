// The vector type that the kernel sources are written in. Private to model/kernels.
//
// Each table_<isa>.cc includes the sources below once and is compiled for its own instruction set;
// everything is in an unnamed namespace, and no standard-library function is called, because an
// inline function compiled here for AVX-512 and kept by the linker for the whole program would
// crash on a lesser machine.
#pragma once

#include <cstdint>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

namespace firstbyte::kernels {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

// GCC and clang give these types + - * / < ?: lane by lane.
typedef float F __attribute__((vector_size(kLanes * 4)));
typedef int32_t I __attribute__((vector_size(kLanes * 4)));

inline F Load(const float* p) {
  F v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
// bfloat16: the upper half of a float.
inline F Load(const uint16_t* p) {
#if defined(__AVX512F__)
  return (F)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16);
#elif defined(__AVX2__)
  return (F)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16);
#else
  I v;
  for (int i = 0; i < kLanes; ++i) v[i] = static_cast<int32_t>(uint32_t{p[i]} << 16);
  return (F)v;
#endif
}
inline void Store(float* p, F v) { __builtin_memcpy(p, &v, sizeof(v)); }
inline F Set(float x) { return x - F{}; }

// a * b + c: one rounding where the instruction exists, always two where it does not.
inline F Fma(F a, F b, F c) {
#if defined(__AVX512F__)
  return (F)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (F)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

inline F Min(F a, F b) { return a < b ? a : b; }
inline F Max(F a, F b) { return a > b ? a : b; }
inline I Bits(F v) { return (I)v; }
inline F FromBits(I v) { return (F)v; }

// Nearest integer, as float; |x| < 2^22.
inline F Round(F x) {
  const F magic = Set(12582912.0f);  // 1.5 * 2^23: the sum has no room for a fraction
  return (x + magic) - magic;
}
inline I ToInt(F x) { return __builtin_convertvector(x, I); }

inline float Sum(F v) {
  float lanes[kLanes];
  Store(lanes, v);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// Applies f to x[0..count) a vector at a time. The tail goes through a padded copy, so that an
// element's value does not depend on its place.
template <typename Function>
inline void Map(int64_t count, Function f) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) f(i, kLanes);
  if (i < count) f(i, static_cast<int>(count - i));
}
inline F LoadPart(const float* p, int count) {
  if (count == kLanes) return Load(p);
  F v = {};
  __builtin_memcpy(&v, p, sizeof(float) * count);
  return v;
}
inline void StorePart(float* p, F v, int count) {
  if (count == kLanes) {
    Store(p, v);
  } else {
    __builtin_memcpy(p, &v, sizeof(float) * count);
  }
}

}  // namespace
}  // namespace firstbyte::kernels

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
inline void Store(float* p, F v) { __builtin_memcpy(p, &v, sizeof(v)); }
inline F Set(float x) { return x - F{}; }

// Two vectors that lie side by side.
inline void LoadPair(const float* p, F* a, F* b) {
  *a = Load(p);
  *b = Load(p + kLanes);
}
// The same of bfloat16 (the upper half of a float) as PackNarrow() lays them: one load, and lane i
// of `a` is in the lower half of a word, that of `b` in the upper.
inline void LoadPair(const uint16_t* p, F* a, F* b) {
  I words;
  __builtin_memcpy(&words, p, sizeof(words));
  *a = (F)(words << 16);
  *b = (F)(words & static_cast<int32_t>(0xffff0000));
}

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

// 512-point complex FFT, kFilterLanes transforms side by side. Private to model/kernels.
//
// Data are re[512][16], im[512][16]: element i of all transforms lies together, so every operation
// is a full vector and the three radix-8 passes need no shuffles. Forward takes natural order and
// leaves bin k at BinPlace(k); Inverse takes that order and gives natural order, unscaled.
#pragma once

#include "model/kernels/kernels.h"
#include "model/kernels/vec.h"

namespace firstbyte::kernels {
namespace {

// Octal digits of k reversed.
inline int BinPlace(int k) { return (k & 7) << 6 | (k & 0070) | k >> 6; }

struct Complex8 {
  F re[8], im[8];
};

inline void Butterfly(F& ar, F& ai, F& br, F& bi) {
  F r = ar - br, i = ai - bi;
  ar = ar + br;
  ai = ai + bi;
  br = r;
  bi = i;
}

// In-place 4-point DFT of elements a, b, c, d (sign -1); results stand in order a, c, b, d.
inline void Dft4(Complex8& x, int a, int b, int c, int d) {
  Butterfly(x.re[a], x.im[a], x.re[c], x.im[c]);
  Butterfly(x.re[b], x.im[b], x.re[d], x.im[d]);
  F r = x.re[d];  // times -i
  x.re[d] = x.im[d];
  x.im[d] = -r;
  Butterfly(x.re[a], x.im[a], x.re[b], x.im[b]);
  Butterfly(x.re[c], x.im[c], x.re[d], x.im[d]);
}

// 8-point DFT; result q is at index kOrder8[q].
constexpr int kOrder8[8] = {0, 4, 2, 6, 1, 5, 3, 7};
inline void Dft8(Complex8& x) {
  for (int i = 0; i < 4; ++i) Butterfly(x.re[i], x.im[i], x.re[i + 4], x.im[i + 4]);
  const F h = Set(0.70710678118654752f);
  F r = x.re[5], i = x.im[5];  // times (1 - i) / sqrt 2
  x.re[5] = (r + i) * h;
  x.im[5] = (i - r) * h;
  r = x.re[6];  // times -i
  x.re[6] = x.im[6];
  x.im[6] = -r;
  r = x.re[7], i = x.im[7];  // times (-1 - i) / sqrt 2
  x.re[7] = (i - r) * h;
  x.im[7] = -(r + i) * h;
  Dft4(x, 0, 1, 2, 3);
  Dft4(x, 4, 5, 6, 7);
}

// One pass over blocks of `span` elements: 8 legs `span` / 8 apart. The inverse transform is the
// forward one with re and im exchanged, run through the passes backwards.
template <bool kInverse>
inline void Pass(const float* twiddles, int span, float* re, float* im) {
  const int leg = span / 8;
  for (int j = 0; j < leg; ++j) {
    for (int base = j; base < kFftSize; base += span) {
      for (int lane = 0; lane < kFilterLanes; lane += kLanes) {
        float *pr = re + base * kFilterLanes + lane, *pi = im + base * kFilterLanes + lane;
        const int64_t stride = static_cast<int64_t>(leg) * kFilterLanes;
        Complex8 x;
        for (int q = 0; q < 8; ++q) {
          x.re[q] = Load(pr + q * stride);
          x.im[q] = Load(pi + q * stride);
          if (kInverse && q > 0 && j > 0) {
            const float* w = twiddles + 2 * (j * q * (kFftSize / span));
            F c = Set(w[0]), s = Set(w[1]), r = x.re[q];
            x.re[q] = Fma(r, c, -(x.im[q] * s));
            x.im[q] = Fma(r, s, x.im[q] * c);
          }
        }
        Dft8(x);
        for (int q = 0; q < 8; ++q) {
          F r = x.re[kOrder8[q]], i = x.im[kOrder8[q]];
          if (!kInverse && q > 0 && j > 0) {
            const float* w = twiddles + 2 * (j * q * (kFftSize / span));
            F c = Set(w[0]), s = Set(w[1]), t = r;
            r = Fma(t, c, -(i * s));
            i = Fma(t, s, i * c);
          }
          Store(pr + q * stride, r);
          Store(pi + q * stride, i);
        }
      }
    }
  }
}

// twiddles: [512][2], cos and sin of -2 pi i / 512.
inline void ForwardFft(const float* twiddles, float* re, float* im) {
  for (int span = kFftSize; span >= 8; span /= 8) Pass<false>(twiddles, span, re, im);
}
inline void InverseFft(const float* twiddles, float* re, float* im) {
  for (int span = 8; span <= kFftSize; span *= 8) Pass<true>(twiddles, span, im, re);
}

}  // namespace
}  // namespace firstbyte::kernels

// 512-point complex FFT by 64 threads: three passes, in each of which a thread has 8 elements. As
// kernels/fft_impl.h, where a pass is a loop: forwards takes natural order and leaves bin k at
// BinPlace(k); backwards takes that and gives natural order, not scaled.
#pragma once

#include <cmath>

#include "model/cuda/grid.h"
#include "model/kernels/kernels.h"

namespace firstbyte::cuda {

struct Fft {
  static constexpr int kSize = kernels::kFftSize;
  static constexpr int kThreads = kSize / 8, kPasses = 3;

  const float* twiddles;  // [512, 2]: cos and sin of -2 pi i / 512

  // Octal digits of k reversed.
  FIRSTBYTE_DEVICE static int BinPlace(int k) { return (k & 7) << 6 | (k & 0070) | k >> 6; }

  // The threads wait for each other between passes.
  FIRSTBYTE_DEVICE void Forward(int pass, int thread, float* re, float* im) const {
    Run<false>(kSize >> 3 * pass, thread, re, im);
  }
  // The same with re and im exchanged, backwards.
  FIRSTBYTE_DEVICE void Backward(int pass, int thread, float* re, float* im) const {
    Run<true>(8 << 3 * pass, thread, im, re);
  }

 private:
  struct Eight {
    float re[8], im[8];
  };

  // One block of `span` elements: 8 legs `span` / 8 apart.
  template <bool kBackward>
  FIRSTBYTE_DEVICE void Run(int span, int thread, float* re, float* im) const {
    const int leg = span / 8, j = thread % leg, first = thread / leg * span + j;
    Eight x;
    FIRSTBYTE_UNROLL
    for (int q = 0; q < 8; ++q) {
      x.re[q] = re[first + q * leg];
      x.im[q] = im[first + q * leg];
      if (kBackward) Turn(j * q * (kSize / span), x.re[q], x.im[q]);
    }
    Dft8(x);
    FIRSTBYTE_UNROLL
    for (int q = 0; q < 8; ++q) {
      const int at = (q & 1) << 2 | (q & 2) | q >> 2;  // where Dft8 leaves it
      if (!kBackward) Turn(j * q * (kSize / span), x.re[at], x.im[at]);
      re[first + q * leg] = x.re[at];
      im[first + q * leg] = x.im[at];
    }
  }

  FIRSTBYTE_DEVICE void Turn(int twiddle, float& re, float& im) const {
    const float c = twiddles[2 * twiddle], s = twiddles[2 * twiddle + 1], r = re;
    re = fmaf(r, c, -(im * s));
    im = fmaf(r, s, im * c);
  }

  FIRSTBYTE_DEVICE static void Butterfly(Eight& x, int a, int b) {
    const float re = x.re[a] - x.re[b], im = x.im[a] - x.im[b];
    x.re[a] += x.re[b];
    x.im[a] += x.im[b];
    x.re[b] = re;
    x.im[b] = im;
  }

  FIRSTBYTE_DEVICE static void TimesMinusI(Eight& x, int a) {
    const float re = x.re[a];
    x.re[a] = x.im[a];
    x.im[a] = -re;
  }

  // In-place 4-point DFT; results stand in order a, c, b, d.
  FIRSTBYTE_DEVICE static void Dft4(Eight& x, int a, int b, int c, int d) {
    Butterfly(x, a, c);
    Butterfly(x, b, d);
    TimesMinusI(x, d);
    Butterfly(x, a, b);
    Butterfly(x, c, d);
  }

  FIRSTBYTE_DEVICE static void Dft8(Eight& x) {
    constexpr float kHalfRoot = 0.70710678118654752f;
    FIRSTBYTE_UNROLL
    for (int i = 0; i < 4; ++i) Butterfly(x, i, i + 4);
    float re = x.re[5], im = x.im[5];  // times (1 - i) / sqrt 2
    x.re[5] = (re + im) * kHalfRoot;
    x.im[5] = (im - re) * kHalfRoot;
    TimesMinusI(x, 6);
    re = x.re[7], im = x.im[7];  // times (-1 - i) / sqrt 2
    x.re[7] = (im - re) * kHalfRoot;
    x.im[7] = -(re + im) * kHalfRoot;
    Dft4(x, 0, 1, 2, 3);
    Dft4(x, 4, 5, 6, 7);
  }
};

}  // namespace firstbyte::cuda

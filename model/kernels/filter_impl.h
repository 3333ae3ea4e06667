// Minimum-phase filtering of excitation in the frequency domain. Private to model/kernels.
//
// One lane is one mel frame. The harmonic and the noise excitation of a sub-frame are the real and
// imaginary part of one FFT, and the two filtered sub-frames are those of one inverse FFT: three
// complex transforms a mel frame instead of six real ones.
#pragma once

#include "model/kernels/fft_impl.h"
#include "model/kernels/linear_impl.h"

namespace firstbyte::kernels {
namespace {

constexpr int kWindow = 160, kHop = 80;
constexpr int kPlane = kFftSize * kFilterLanes;
// Log magnitude and phase of both sub-frames: [2 * 257][32], columns = sub-frame, then lane.
constexpr int kSpectrum = 2 * kFilterBins * kPanel;
constexpr int kMaxOrder = 64;

struct FilterScratch {
  float *re[2], *im[2];  // one plane for each sub-frame
  float *harmonic, *noise, *cepstra, *zeros;
  const float* twiddles;
};

inline FilterScratch Carve(float* scratch, const float* twiddles) {
  FilterScratch s;
  for (int half = 0; half < 2; ++half) {
    s.re[half] = scratch + (2 * half) * kPlane;
    s.im[half] = scratch + (2 * half + 1) * kPlane;
  }
  s.harmonic = scratch + 4 * kPlane;
  s.noise = s.harmonic + kSpectrum;
  s.cepstra = s.noise + kSpectrum;
  s.zeros = s.cepstra + kMaxOrder * kPanel;
  s.twiddles = twiddles;
  return s;
}

// Windowed excitation of sub-frame `half` into the lanes.
inline void LoadExcitation(const FilterStep& step, int half, float* re, float* im) {
  __builtin_memset(re, 0, sizeof(float) * kPlane);
  __builtin_memset(im, 0, sizeof(float) * kPlane);
  for (int lane = 0; lane < step.count; ++lane) {
    const float* h = step.harmonic[lane] + half * kHop;
    const float* n = step.noise[lane] + half * kHop;
    for (int i = 0; i < kWindow; ++i) {
      re[i * kFilterLanes + lane] = step.window[i] * h[i];
      im[i * kFilterLanes + lane] = step.window[i] * n[i];
    }
  }
}

// spectrum = basis x cepstra: the basis takes the place of the rows and the lanes that of columns.
inline void LogSpectrum(const FilterStep& step, int offset, int order, const float* basis,
                        const FilterScratch& s, float* spectrum) {
  __builtin_memset(s.cepstra, 0, sizeof(float) * order * kPanel);
  for (int lane = 0; lane < step.count; ++lane) {
    for (int half = 0; half < 2; ++half) {
      const float* c =
          step.cepstra[lane] + half * (step.harmonic_order + step.noise_order) + offset;
      for (int i = 0; i < order; ++i) s.cepstra[i * kPanel + half * kFilterLanes + lane] = c[i];
    }
  }
  PackedWeights lanes{s.cepstra, s.zeros, kPanel, order};
  Linear(lanes, basis, order, 2 * kFilterBins, spectrum, kPanel, Epilogue::kNone);
}

struct Bin {
  F re, im;
};

// Takes bin k of both excitations out of the shared transform and filters them.
inline Bin FilterBin(const FilterScratch& s, int half, int k, int lane) {
  const int p = BinPlace(k) * kFilterLanes + lane;
  const int q = BinPlace((kFftSize - k) % kFftSize) * kFilterLanes + lane;
  F pr = Load(s.re[half] + p), pi = Load(s.im[half] + p);
  F qr = Load(s.re[half] + q), qi = Load(s.im[half] + q);
  const F half_scale = Set(0.5f / kFftSize);  // also the scale of the inverse transform
  F hr = (pr + qr) * half_scale, hi = (pi - qi) * half_scale;
  F nr = (pi + qi) * half_scale, ni = (qr - pr) * half_scale;
  const int column = half * kFilterLanes + lane;
  F hm = Exp(Load(s.harmonic + k * kPanel + column));
  F nm = Exp(Load(s.noise + k * kPanel + column));
  SinCosResult ha = SinCos(Load(s.harmonic + (kFilterBins + k) * kPanel + column));
  SinCosResult na = SinCos(Load(s.noise + (kFilterBins + k) * kPanel + column));
  F ar = hm * ha.cos, ai = hm * ha.sin, br = nm * na.cos, bi = nm * na.sin;
  return {Fma(hr, ar, -(hi * ai)) + Fma(nr, br, -(ni * bi)),
          Fma(hr, ai, hi * ar) + Fma(nr, bi, ni * br)};
}

// Leaves the transform of (first sub-frame + i second sub-frame) in plane 0.
inline void FilterSpectra(const FilterScratch& s) {
  for (int k = 0; k < kFilterBins; ++k) {
    const bool real =
        k == 0 || k == kFilterBins - 1;  // as irfft, which ignores this imaginary part
    const int p = BinPlace(k) * kFilterLanes;
    const int q = BinPlace((kFftSize - k) % kFftSize) * kFilterLanes;
    for (int lane = 0; lane < kFilterLanes; lane += kLanes) {
      Bin a = FilterBin(s, 0, k, lane), b = FilterBin(s, 1, k, lane);
      if (real) a.im = b.im = F{};
      Store(s.re[0] + q + lane, a.re + b.im);
      Store(s.im[0] + q + lane, b.re - a.im);
      Store(s.re[0] + p + lane, a.re - b.im);
      Store(s.im[0] + p + lane, a.im + b.re);
    }
  }
}

void Filter(const FilterStep& step, const float* twiddles) {
  FilterScratch s = Carve(step.scratch, twiddles);
  __builtin_memset(s.zeros, 0, sizeof(float) * kPanel);
  LogSpectrum(step, 0, step.harmonic_order, step.harmonic_basis, s, s.harmonic);
  LogSpectrum(step, step.harmonic_order, step.noise_order, step.noise_basis, s, s.noise);
  for (int half = 0; half < 2; ++half) {
    LoadExcitation(step, half, s.re[half], s.im[half]);
    ForwardFft(s.twiddles, s.re[half], s.im[half]);
  }
  FilterSpectra(s);
  InverseFft(s.twiddles, s.re[0], s.im[0]);
  for (int lane = 0; lane < step.count; ++lane) {
    float* out = step.out[lane];
    for (int i = 0; i < kFftSize; ++i) {
      out[i] = s.re[0][i * kFilterLanes + lane];
      out[kFftSize + i] = s.im[0][i * kFilterLanes + lane];
    }
  }
}

}  // namespace
}  // namespace firstbyte::kernels

// Minimum-phase filtering of excitation, and the overlap-add of its pieces to samples.
//
// A block has a mel frame. As in kernels/filter_impl.h, harmonic and noise excitation of a
// sub-frame are the real and imaginary part of one FFT, and the two filtered sub-frames those of
// one inverse.
#pragma once

#include <cmath>

#include "model/cuda/excite.h"
#include "model/cuda/fft.h"

namespace firstbyte::cuda {

// Samples that a stream has begun and not finished, after each sub-frame.
inline constexpr int kOverlap = Fft::kSize - kSubframe;

struct FilterStep {
  static constexpr int kBins = kernels::kFilterBins;

  const float* harmonic;    // [rows, kSubframe + kMelSamples places], of ExciteStep
  const float* noise;       // the same
  const float* spectra;     // [rows, places, 2 sub-frames] of [2, 2, kBins]: of the harmonic filter
                            // log magnitudes, then phases; of that of noise the same
  const float* window;      // [kMelSamples]
  const float* twiddles;    // [512, 2], see Fft
  const Segment* segments;  // [rows]
  const int32_t* slots;     // [rows]
  float* pieces;            // [rows, places, 2 sub-frames, 512]
  int rows, places, spectra_stride;
};

// A piece begins kSubframe samples before its sub-frame, where it is the last to contribute.
struct OverlapAddStep {
  const float* pieces;      // [rows, places, 2 sub-frames, 512], of FilterStep
  const Segment* segments;  // [rows]
  const int32_t* slots;     // [rows]
  float* overlaps;          // [slots, kOverlap]; updated
  float* samples;  // [rows, 2 places + 1, kSubframe]: those that each sub-frame of the segment's
                   // mel frames finished, then those that the next one would if it were silent.
                   // Blank mel frames have none. The stream's first lie before its beginning.
  float gain;
  int rows, places;
};

struct Filter {
  static constexpr int kThreads = 2 * Fft::kThreads;
  struct Shared {
    float re[2][Fft::kSize], im[2][Fft::kSize];  // of the sub-frames
  };

  FilterStep step;

  Grid grid() const { return {step.places, step.rows}; }
  bool fits() const { return step.places > 0 && step.spectra_stride >= 4 * FilterStep::kBins; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared& s) const {
    const int place = block.at.x, row = block.at.y;
    if (step.slots[row] < 0) return;
    const Segment segment = step.segments[row];
    if (place >= segment.count || segment.begin + place < 0) return;
    const int64_t mel = static_cast<int64_t>(row) * step.places + place;
    const Fft fft{step.twiddles};
    block.Each([&](int t) { LoadWindowed(row, place, t, s); });
    for (int pass = 0; pass < Fft::kPasses; ++pass) {
      block.Each([&](int t) {
        const int half = t / Fft::kThreads;
        fft.Forward(pass, t % Fft::kThreads, s.re[half], s.im[half]);
      });
    }
    block.Each([&](int t) {
      for (int k = t; k < FilterStep::kBins; k += kThreads) FilterBins(mel, k, s);
    });
    for (int pass = 0; pass < Fft::kPasses; ++pass) {
      block.Each([&](int t) {
        if (t < Fft::kThreads) fft.Backward(pass, t, s.re[0], s.im[0]);
      });
    }
    block.Each([&](int t) {
      float* pieces = step.pieces + mel * 2 * Fft::kSize;
      for (int i = t; i < Fft::kSize; i += kThreads) {
        pieces[i] = s.re[0][i];
        pieces[Fft::kSize + i] = s.im[0][i];
      }
    });
  }

 private:
  struct Bin {
    float re, im;
  };

  FIRSTBYTE_DEVICE void LoadWindowed(int row, int place, int t, Shared& s) const {
    const int64_t first =
        row * (kSubframe + int64_t{kMelSamples} * step.places) + place * kMelSamples;
    for (int i = t; i < 2 * Fft::kSize; i += kThreads) {
      const int half = i / Fft::kSize, at = i % Fft::kSize;
      const int64_t from = first + half * kSubframe + at;
      const bool inside = at < kMelSamples;
      s.re[half][at] = inside ? step.window[at] * step.harmonic[from] : 0;
      s.im[half][at] = inside ? step.window[at] * step.noise[from] : 0;
    }
  }

  // Takes bin k of both excitations out of a sub-frame's transform and filters them.
  FIRSTBYTE_DEVICE Bin FilterBin(int64_t mel, int half, int k, const Shared& s) const {
    constexpr float kScale = 0.5f / Fft::kSize;  // also that of the inverse transform
    const int p = Fft::BinPlace(k), q = Fft::BinPlace((Fft::kSize - k) % Fft::kSize);
    const float pr = s.re[half][p], pi = s.im[half][p], qr = s.re[half][q], qi = s.im[half][q];
    const float hr = (pr + qr) * kScale, hi = (pi - qi) * kScale;
    const float nr = (pi + qi) * kScale, ni = (qr - pr) * kScale;
    const float* spectrum = step.spectra + (2 * mel + half) * step.spectra_stride + k;
    const float hm = expf(spectrum[0]), ha = spectrum[FilterStep::kBins];
    const float nm = expf(spectrum[2 * FilterStep::kBins]), na = spectrum[3 * FilterStep::kBins];
    const float ar = hm * cosf(ha), ai = hm * sinf(ha), br = nm * cosf(na), bi = nm * sinf(na);
    return {fmaf(hr, ar, -(hi * ai)) + fmaf(nr, br, -(ni * bi)),
            fmaf(hr, ai, hi * ar) + fmaf(nr, bi, ni * br)};
  }

  // Leaves bins k and -k of (first sub-frame + i second sub-frame) where the first's were.
  FIRSTBYTE_DEVICE void FilterBins(int64_t mel, int k, Shared& s) const {
    Bin a = FilterBin(mel, 0, k, s), b = FilterBin(mel, 1, k, s);
    if (k == 0 || k == FilterStep::kBins - 1) a.im = b.im = 0;  // as of a real transform
    const int p = Fft::BinPlace(k), q = Fft::BinPlace((Fft::kSize - k) % Fft::kSize);
    s.re[0][q] = a.re + b.im;
    s.im[0][q] = b.re - a.im;
    s.re[0][p] = a.re - b.im;
    s.im[0][p] = a.im + b.re;
  }
};

// A block has a stream. Every sample adds up its pieces from the oldest on, over whatever steps
// these came in.
struct OverlapAdd {
  static constexpr int kThreads = 256;
  struct Shared {
    float next[kOverlap];
  };

  OverlapAddStep step;

  Grid grid() const { return {step.rows}; }
  bool fits() const { return step.places > 0; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared& s) const {
    const int row = block.at.x, slot = step.slots[row];
    if (slot < 0) return;
    const Segment segment = step.segments[row];
    const int blank = static_cast<int>(segment.begin < 0 ? -segment.begin : 0);
    const int mels = segment.count - blank, end = mels > 0 ? 2 * mels * kSubframe : 0;
    const float* pieces =
        step.pieces + (static_cast<int64_t>(row) * step.places + blank) * 2 * Fft::kSize;
    float* overlap = step.overlaps + static_cast<int64_t>(slot) * kOverlap;
    const float* before = segment.begin <= 0 ? nullptr : overlap;
    float* samples = step.samples + static_cast<int64_t>(row) * (2 * step.places + 1) * kSubframe;
    block.Each([&](int t) {
      for (int i = t; i < end + kSubframe; i += kThreads) {
        samples[i] = Sum(pieces, before, end, i) * step.gain;
      }
      for (int i = t; i < kOverlap; i += kThreads) s.next[i] = Sum(pieces, before, end, end + i);
    });
    block.Each([&](int t) {
      for (int i = t; i < kOverlap; i += kThreads) overlap[i] = s.next[i];
    });
  }

 private:
  // Of all pieces there are at sample `i` from the segment's beginning; `end`: where the next piece
  // would begin.
  FIRSTBYTE_DEVICE static float Sum(const float* pieces, const float* before, int end, int i) {
    float sum = before != nullptr && i < kOverlap ? before[i] : 0;
    const int from = i < Fft::kSize ? 0 : (i - Fft::kSize) / kSubframe + 1;
    for (int piece = from; piece * kSubframe <= i && piece * kSubframe < end; ++piece) {
      sum = pieces[static_cast<int64_t>(piece) * Fft::kSize + i - piece * kSubframe] + sum;
    }
    return sum;
  }
};

}  // namespace firstbyte::cuda

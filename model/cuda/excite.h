// Excitation of a source-filter vocoder: band-limited pulses whose pitch glides through each mel
// frame, and noise.
//
// The samples of a mel frame follow from its glide, its place in the stream and the seed, and from
// nothing else: so all are made at once, and a stream remembers one glide.
#pragma once

#include <cmath>

#include "model/cuda/causal.h"
#include "model/kernels/kernels.h"
#include "model/kernels/philox.h"

namespace firstbyte::cuda {

inline constexpr int kMelSamples = kernels::kMelSamples;
inline constexpr int kSubframe = kMelSamples / 2;

struct MelPitch {
  float log_f0;  // natural log of Hz; reached at the mel frame's last sample
  int32_t voiced;
};

// How pitch goes through a mel frame.
struct Glide {
  double from, to;  // log F0 before its first and at its last sample
  double phase;     // before its first, in turns
  int32_t voiced;
};

// Goes through the mel frames of each segment one after another.
struct GlideStep {
  const MelPitch* pitches;  // [rows, places]
  const Segment* segments;  // [rows]
  const int32_t* slots;     // [rows]
  Glide* last;              // [slots]: of the mel frame before the segment; updated
  Glide* glides;            // [rows, 1 + places]: the one before the segment stands first
  double sample_rate;
  int rows, places;  // places: at most 255
};

// kSubframe samples before each segment, then kMelSamples for each mel frame. Zeros before the
// stream begins.
struct ExciteStep {
  const Glide* glides;      // [rows, 1 + places]
  const Segment* segments;  // [rows]
  const int32_t* slots;     // [rows]
  const uint64_t* seeds;    // [rows]
  float* harmonic;          // [rows, kSubframe + kMelSamples places]
  float* noise;             // the same
  double sample_rate;
  int rows, places;
};

// Keeps a damaged F0 from dividing by zero; NaN becomes the lower bound. 7 Hz to 3 kHz.
FIRSTBYTE_DEVICE inline double Audible(double log_f0) {
  constexpr double kLow = 2, kHigh = 8;
  if (!(log_f0 > kLow)) return kLow;
  return log_f0 < kHigh ? log_f0 : kHigh;
}

// Turns that `glide` makes in its first `samples` samples: a geometric series, since log F0 is
// linear.
FIRSTBYTE_DEVICE inline double TurnsOf(const Glide& glide, int samples, double sample_rate) {
  const double slope = (glide.to - glide.from) / kMelSamples;
  const double sum = slope == 0 ? samples : exp(slope) * (expm1(samples * slope) / expm1(slope));
  return exp(glide.from) * sum / sample_rate;
}

// A block has a stream. Turns are counted side by side, phases added up one after another.
struct Glides {
  static constexpr int kThreads = 256;
  struct Shared {
    double turns[kThreads];
  };

  GlideStep step;

  Grid grid() const { return {step.rows}; }
  bool fits() const { return step.places > 0 && step.places < kThreads && step.sample_rate > 0; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared& s) const {
    const int row = block.at.x, slot = step.slots[row];
    if (slot < 0) return;
    const Segment segment = step.segments[row];
    Glide* glides = step.glides + static_cast<int64_t>(row) * (1 + step.places);
    block.Each([&](int t) {
      if (t > segment.count) return;
      glides[t] = t == 0
                      ? step.last[slot]
                      : Glide{From(segment, row, slot, t - 1), Audible(PitchOf(row, t - 1).log_f0),
                              0, PitchOf(row, t - 1).voiced};
      s.turns[t] = TurnsOf(glides[t], kMelSamples, step.sample_rate);
    });
    block.Each([&](int t) {
      if (t > 0) return;
      for (int i = 1; i <= segment.count; ++i) {
        if (segment.begin + i - 1 <= 0) continue;  // blank, or the first: begins at 0
        const double phase = glides[i - 1].phase + s.turns[i - 1];
        glides[i].phase = phase - floor(phase);
      }
      step.last[slot] = glides[segment.count];
    });
  }

 private:
  FIRSTBYTE_DEVICE const MelPitch& PitchOf(int row, int place) const {
    return step.pitches[static_cast<int64_t>(row) * step.places + place];
  }
  FIRSTBYTE_DEVICE double From(const Segment& segment, int row, int slot, int place) const {
    if (segment.begin + place <= 0) return Audible(PitchOf(row, place).log_f0);  // does not glide
    return place == 0 ? step.last[slot].to : Audible(PitchOf(row, place - 1).log_f0);
  }
};

// A block has a mel frame, or the one before a segment.
struct Excite {
  static constexpr int kThreads = kMelSamples;
  struct Shared {};

  ExciteStep step;

  Grid grid() const { return {1 + step.places, step.rows}; }
  bool fits() const { return step.places > 0 && step.sample_rate > 0; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    const int row = block.at.y, place = block.at.x - 1;
    if (step.slots[row] < 0) return;
    const Segment segment = step.segments[row];
    if (place >= segment.count) return;
    const int64_t first =
        row * (kSubframe + int64_t{kMelSamples} * step.places) + kSubframe + place * kMelSamples;
    const int64_t mel = segment.begin + place;
    const Glide& glide = step.glides[static_cast<int64_t>(row) * (1 + step.places) + block.at.x];
    block.Each([&](int t) {
      if (place < 0 && t < kMelSamples - kSubframe) return;
      step.harmonic[first + t] = mel < 0 || glide.voiced == 0 ? 0 : Pulse(glide, t);
      step.noise[first + t] = mel < 0 ? 0 : Noise(step.seeds[row], mel * kMelSamples + t);
    });
  }

 private:
  // Sample `index` of a train of cosines, as many as fit below 0.48 of the sample rate: their sum
  // in closed form. In double up to the sines' arguments, which are large.
  FIRSTBYTE_DEVICE float Pulse(const Glide& glide, int index) const {
    const double slope = (glide.to - glide.from) / kMelSamples;
    const double frequency = exp(glide.from + (index + 1) * slope);
    double turn = glide.phase + TurnsOf(glide, index + 1, step.sample_rate);
    turn -= floor(turn);
    if (turn >= 0.5) turn -= 1;
    double count = floor(0.48 * step.sample_rate / frequency);
    if (count < 1) count = 1;
    const auto harmonics = static_cast<float>(count), near = static_cast<float>(fabs(turn));
    if (near < 3e-5f) return sqrtf(2 * harmonics);
    const double wide = (2 * count + 1) * turn, whole = rint(wide);
    const float sine = SinPi(static_cast<float>(wide - whole));
    const float sign = fmod(whole, 2) == 0 ? 0.5f : -0.5f;
    const float ratio = sign * sine / SinPi(static_cast<float>(turn));
    return (ratio - 0.5f) * sqrtf(2 / harmonics);
  }

  // sin(pi x) for |x| <= 1/2
  FIRSTBYTE_DEVICE static float SinPi(float x) {
    const float square = x * x;
    float sum = 4.6630280577e-4f;
    sum = fmaf(sum, square, -7.3704309457e-3f);
    sum = fmaf(sum, square, 8.2145886611e-2f);
    sum = fmaf(sum, square, -0.59926452932f);
    sum = fmaf(sum, square, 2.5501640398f);
    sum = fmaf(sum, square, -5.1677127800f);
    return x * fmaf(sum, square, 3.14159265359f);
  }

  // As kernels::UniformNoise, to the bit.
  FIRSTBYTE_DEVICE static float Noise(uint64_t seed, int64_t sample) {
    constexpr float kRoot3 = 1.7320508075688772f;
    const auto block = static_cast<uint64_t>(sample) / 4;
    const kernels::PhiloxCounter words =
        kernels::Philox4x32({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                             static_cast<uint32_t>(kernels::NoisePurpose::kExcitation), 0},
                            {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    const float unit = static_cast<float>(words[sample % 4] >> 8) * 0x1p-24f;
    return (2 * unit - 1) * kRoot3;
  }
};

}  // namespace firstbyte::cuda

// Band-limited pulse train of a mel frame. Private to model/kernels.
#pragma once

#include "model/kernels/kernels.h"
#include "model/kernels/vec_math.h"

namespace firstbyte::kernels {
namespace {

struct PulseArguments {
  float turn[kMelSamples];  // phase in [-1/2, 1/2)
  float wide[kMelSamples];  // (2K + 1) * phase, less its nearest integer
  float sign[kMelSamples];  // -1 where that integer is odd
  float gain[kMelSamples];  // sqrt(2 / K)
  float peak[kMelSamples];  // sqrt(2 K), the value at phase 0
};

// In double: a phase kept in float drifts audibly within a minute, and (2K + 1) * phase reduced in
// float would lose 8 of its 24 bits.
inline void Arguments(double from, double to, double sample_rate, double* phase,
                      PulseArguments* a) {
  double frequency[kMelSamples], turns[kMelSamples];
  // Linear in log F0 is geometric in F0: one exp instead of 160.
  const double ratio = __builtin_exp((to - from) / kMelSamples);
  double f = __builtin_exp(from), p = *phase;
  // Whole turns are taken off below: here only what each sample has to wait for.
  for (int i = 0; i < kMelSamples; ++i) {
    f *= ratio;
    p += f / sample_rate;
    frequency[i] = f;
    turns[i] = p;
  }
  *phase = p - __builtin_floor(p);
  const double magic = 6755399441055744.0;  // 1.5 * 2^52: rounds to the nearest integer
  for (int i = 0; i < kMelSamples; ++i) {
    turns[i] -= __builtin_floor(turns[i]);
    double k = __builtin_floor(0.48 * sample_rate / frequency[i]);
    k = k < 1 ? 1 : k;
    double turn = turns[i] - (turns[i] >= 0.5 ? 1.0 : 0.0);
    double wide = (2 * k + 1) * turn, nearest = (wide + magic) - magic;
    a->turn[i] = static_cast<float>(turn);
    a->wide[i] = static_cast<float>(wide - nearest);
    a->sign[i] = static_cast<int>(nearest) & 1 ? -1.0f : 1.0f;
    a->gain[i] = __builtin_sqrtf(2.0f / static_cast<float>(k));
    a->peak[i] = __builtin_sqrtf(2.0f * static_cast<float>(k));
  }
}

// Keeps a damaged F0 from hanging or dividing by zero; NaN becomes the lower bound.
inline double Audible(double log_f0) {
  const double low = 2.0, high = 8.0;  // 7 Hz to 3 kHz
  if (!(log_f0 > low)) return low;
  return log_f0 < high ? log_f0 : high;
}

void Pulses(double from, double to, bool voiced, double sample_rate, double* phase, float* out) {
  PulseArguments a;
  Arguments(Audible(from), Audible(to), sample_rate, phase, &a);
  const F on = Set(voiced ? 0.5f : 0.0f), one = Set(1.0f), tiny = Set(3e-5f);
  for (int i = 0; i < kMelSamples; i += kLanes) {
    F turn = Load(a.turn + i);
    F near = Max(turn, -turn);
    F ratio = SinPi(Load(a.wide + i)) * Load(a.sign + i) / SinPi(near < tiny ? tiny : turn);
    F pulse = (ratio - one) * Load(a.gain + i) * on;
    Store(out + i, near < tiny ? Load(a.peak + i) * (on + on) : pulse);
  }
}

}  // namespace
}  // namespace firstbyte::kernels

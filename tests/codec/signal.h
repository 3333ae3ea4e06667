// A test signal: two gliding tones, so that a shift or a gap shows.
#pragma once

#include <cmath>
#include <vector>

namespace firstbyte {

inline std::vector<float> Glide(int samples, int sample_rate_hertz = 16000) {
  std::vector<float> signal(samples);
  for (int i = 0; i < samples; ++i) {
    double t = static_cast<double>(i) / sample_rate_hertz;
    signal[i] = static_cast<float>(0.4 * std::sin(2 * M_PI * (200 * t + 150 * t * t)) +
                                   0.2 * std::sin(2 * M_PI * (900 * t - 100 * t * t)));
  }
  return signal;
}

}  // namespace firstbyte

#include "client/loadgen/playback.h"

#include <cmath>

namespace firstbyte {

Playback SimulatePlayback(absl::Span<const Arrival> arrivals, absl::Duration jitter_buffer) {
  Playback playback{.start = absl::InfiniteFuture(), .end = absl::InfiniteFuture()};
  bool playing = false;
  for (const Arrival& arrival : arrivals) {
    if (arrival.media <= absl::ZeroDuration()) continue;
    if (!playing) {
      playback.start = playback.end = arrival.at + jitter_buffer;
      playing = true;
    } else if (arrival.at > playback.end) {
      ++playback.underruns;
      playback.stalled += arrival.at + jitter_buffer - playback.end;
      playback.end = arrival.at + jitter_buffer;
    }
    playback.end += arrival.media;
    playback.media += arrival.media;
  }
  return playback;
}

std::optional<int64_t> FirstAudibleSample(absl::Span<const float> samples, int sample_rate_hertz) {
  constexpr double kThreshold = 0.0031622776601683794;  // -50 dBFS
  const size_t window = sample_rate_hertz / 100;
  for (size_t at = 0; window > 0 && at + window <= samples.size(); at += window) {
    double energy = 0;
    for (float sample : samples.subspan(at, window)) energy += double{sample} * sample;
    if (std::sqrt(energy / window) > kThreshold) return at;
  }
  return std::nullopt;
}

}  // namespace firstbyte

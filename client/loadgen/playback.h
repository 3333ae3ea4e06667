// What a listener hears, computed from when the audio arrived. Pure functions.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace firstbyte {

struct Arrival {
  absl::Time at;
  absl::Duration media;  // how long it plays
};

struct Playback {
  absl::Time start;  // of the sound; InfiniteFuture when nothing arrived
  absl::Time end;    // of the sound
  absl::Duration media;
  int underruns = 0;       // times the player ran dry before the stream had ended
  absl::Duration stalled;  // silence because of them
};

// A player with a jitter buffer: it waits `jitter_buffer` after the first arrival, then plays at
// constant speed. When it runs dry it waits for the next arrival, and `jitter_buffer` again; it
// never catches up. `arrivals` in order of time.
Playback SimulatePlayback(absl::Span<const Arrival> arrivals, absl::Duration jitter_buffer);

// Position of the first 10 ms whose RMS exceeds -50 dBFS; nullopt when all of it is silence.
std::optional<int64_t> FirstAudibleSample(absl::Span<const float> samples, int sample_rate_hertz);

}  // namespace firstbyte

// The noise that latents begin with.
#pragma once

#include <cstdint>

namespace firstbyte::waypoint {

// out[i] = element `first` + i of the session's noise, from N(0, 1); `first` and `count` multiples
// of 4. A pure function of (seed, element): Box-Muller on Philox4x32-10 with key = seed, counter =
// (element / 4, 2), words 0, 1 for the block's first two elements and 2, 3 for the others.
void GaussianNoise(uint64_t seed, int64_t first, int count, float* out);

}  // namespace firstbyte::waypoint

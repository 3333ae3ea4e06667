// Pictures between 8-bit codes and numbers in [0, 1], and between sizes. [height, width, 3].
#pragma once

#include <cstdint>
#include <vector>

namespace firstbyte::waypoint {

// Bilinear, pixel centres on half integers, no smoothing when shrinking: what the released
// implementation does with pictures on their way in and out.
void Resize(const float* x, int height, int width, int to_height, int to_width, float* y);

void FromBytes(const std::vector<uint8_t>& bytes, float* x);
// To the nearest code, ties to even; x in [0, 1].
void ToBytes(const float* x, int64_t count, uint8_t* bytes);

}  // namespace firstbyte::waypoint

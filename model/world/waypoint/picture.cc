#include "model/world/waypoint/picture.h"

#include <algorithm>
#include <cmath>

namespace firstbyte::waypoint {
namespace {

// The two source pixels of a pixel, and the share of the second.
struct Between {
  int first, second;
  float share;
};

std::vector<Between> Places(int from, int to) {
  std::vector<Between> places(to);
  const float scale = static_cast<float>(from) / static_cast<float>(to);
  for (int i = 0; i < to; ++i) {
    const float at = std::max(0.0f, (static_cast<float>(i) + 0.5f) * scale - 0.5f);
    const int first = std::min(static_cast<int>(at), from - 1);
    places[i] = {first, std::min(first + 1, from - 1), at - static_cast<float>(first)};
  }
  return places;
}

}  // namespace

void Resize(const float* x, int height, int width, int to_height, int to_width, float* y) {
  const std::vector<Between> rows = Places(height, to_height), columns = Places(width, to_width);
  for (const Between& row : rows) {
    const float* above = x + int64_t{row.first} * width * 3;
    const float* below = x + int64_t{row.second} * width * 3;
    for (const Between& column : columns) {
      for (int c = 0; c < 3; ++c, ++y) {
        const int left = column.first * 3 + c, right = column.second * 3 + c;
        const float top = above[left] * (1 - column.share) + above[right] * column.share;
        const float bottom = below[left] * (1 - column.share) + below[right] * column.share;
        *y = top * (1 - row.share) + bottom * row.share;
      }
    }
  }
}

void FromBytes(const std::vector<uint8_t>& bytes, float* x) {
  for (uint8_t byte : bytes) *x++ = static_cast<float>(byte) / 255;
}

void ToBytes(const float* x, int64_t count, uint8_t* bytes) {
  for (int64_t i = 0; i < count; ++i) {
    const float shown = x[i] > 0 ? std::min(x[i], 1.0f) : 0;  // what is no number is black
    bytes[i] = static_cast<uint8_t>(std::nearbyint(shown * 255));
  }
}

}  // namespace firstbyte::waypoint

// A picture in memory: what image codecs write and worlds read. Plain data.
#pragma once

#include <cstdint>
#include <vector>

namespace firstbyte {

struct RgbImage {
  int width = 0;   // pixels
  int height = 0;  // pixels
  // 8-bit red, green, blue; rows from the top, no padding: 3 * width * height bytes.
  std::vector<uint8_t> data;
};

}  // namespace firstbyte

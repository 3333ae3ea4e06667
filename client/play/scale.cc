#include "client/play/scale.h"

#include <algorithm>

namespace firstbyte {

RgbImage Enlarge(const RgbImage& image, int factor) {
  if (factor == 1) return image;
  RgbImage large{image.width * factor, image.height * factor, {}};
  large.data.reserve(image.data.size() * factor * factor);
  const uint8_t* pixel = image.data.data();
  for (int y = 0; y < image.height; ++y) {
    const size_t row = large.data.size();
    for (int x = 0; x < image.width; ++x, pixel += 3) {
      for (int i = 0; i < factor; ++i) large.data.insert(large.data.end(), pixel, pixel + 3);
    }
    const size_t size = large.data.size() - row;
    large.data.resize(row + size * factor);
    for (int i = 1; i < factor; ++i) {
      std::copy_n(large.data.begin() + row, size, large.data.begin() + row + i * size);
    }
  }
  return large;
}

RgbImage Reduce(const RgbImage& image, int factor) {
  if (factor == 1) return image;
  RgbImage small{std::max(1, image.width / factor), std::max(1, image.height / factor), {}};
  small.data.resize(size_t{3} * small.width * small.height);
  for (int y = 0; y < small.height; ++y) {
    for (int x = 0; x < small.width; ++x) {
      const int bottom = std::min((y + 1) * factor, image.height);
      const int right = std::min((x + 1) * factor, image.width);
      int sum[3] = {}, count = 0;
      for (int sy = y * factor; sy < bottom; ++sy) {
        for (int sx = x * factor; sx < right; ++sx, ++count) {
          const uint8_t* pixel = &image.data[3 * (static_cast<size_t>(sy) * image.width + sx)];
          for (int c = 0; c < 3; ++c) sum[c] += pixel[c];
        }
      }
      uint8_t* mean = &small.data[3 * (static_cast<size_t>(y) * small.width + x)];
      for (int c = 0; c < 3; ++c) mean[c] = static_cast<uint8_t>((sum[c] + count / 2) / count);
    }
  }
  return small;
}

}  // namespace firstbyte

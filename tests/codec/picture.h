// Pictures for tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>

#include "base/image.h"

namespace firstbyte {

// Slopes in every channel with one hard edge: what a picture of a world is like.
inline RgbImage Slopes(int width, int height) {
  RgbImage image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      image.data.push_back(static_cast<uint8_t>(255 * x / width));
      image.data.push_back(static_cast<uint8_t>(255 * y / height));
      image.data.push_back(x < width / 2 ? 40 : 200);
    }
  }
  return image;
}

// What no codec can make smaller.
inline RgbImage Noise(int width, int height, uint32_t seed = 1) {
  RgbImage image{width, height, {}};
  std::mt19937 random(seed);
  for (int i = 0; i < 3 * width * height; ++i) {
    image.data.push_back(static_cast<uint8_t>(random()));
  }
  return image;
}

// Peak signal to noise, dB. Infinite when equal; negative sizes differ.
inline double Psnr(const RgbImage& a, const RgbImage& b) {
  if (a.width != b.width || a.height != b.height || a.data.size() != b.data.size()) return -1;
  double sum = 0;
  for (size_t i = 0; i < a.data.size(); ++i) {
    double d = double{1} * a.data[i] - b.data[i];
    sum += d * d;
  }
  return 10 * std::log10(255.0 * 255 * static_cast<double>(a.data.size()) / sum);
}

}  // namespace firstbyte

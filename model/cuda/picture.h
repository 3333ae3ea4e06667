// Pictures as they are shown: from maps on the device to bytes of the size that a player sees.
#pragma once

#include <cmath>

#include "model/cuda/steps.h"

namespace firstbyte::cuda {

// Opens pixels that each hold ratio x ratio of a picture, as ShuffleStep; then resizes it, bilinear
// with pixel centres on half integers, and rounds to 8-bit codes. What is no number is black.
template <typename T>
struct PictureStep {
  const T* x;            // [rows] of [height, width] of [ratio, ratio, 3], [0, 1] once clamped
  const int32_t* slots;  // [rows]
  uint8_t* bytes;        // [rows] of [to_height, to_width, 3], `bytes_stride` apart
  int64_t bytes_stride;
  int rows, height, width, ratio, x_stride;
  int to_height, to_width;
};

template <typename T>
struct Picture {
  static constexpr int kThreads = 256;
  struct Shared {};
  // The two source pixels of a pixel, and the share of the second.
  struct Between {
    int first, second;
    float share;
  };

  PictureStep<T> step;

  int values() const { return step.to_height * step.to_width * 3; }
  Grid grid() const { return {CeilDiv(values(), kThreads), step.rows}; }
  bool fits() const {
    return step.height > 0 && step.width > 0 && step.ratio > 0 && step.to_height > 0 &&
           step.to_width > 0 && step.x_stride >= 3 * step.ratio * step.ratio &&
           step.bytes_stride >= values();
  }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    const int row = block.at.y;
    if (step.slots[row] < 0) return;
    block.Each([&](int t) {
      const int i = block.at.x * kThreads + t, pixel = i / 3, c = i % 3;
      if (i >= step.to_height * step.to_width * 3) return;
      const Between y = Place(pixel / step.to_width, step.height * step.ratio, step.to_height);
      const Between x = Place(pixel % step.to_width, step.width * step.ratio, step.to_width);
      const float top = Mixed(row, y.first, x, c), bottom = Mixed(row, y.second, x, c);
      const float shown = Clamped(top * (1 - y.share) + bottom * y.share);
      step.bytes[row * step.bytes_stride + i] = static_cast<uint8_t>(rintf(shown * 255));
    });
  }

 private:
  FIRSTBYTE_DEVICE static Between Place(int i, int from, int to) {
    const float scale = static_cast<float>(from) / static_cast<float>(to);
    const float at = Max(0, (static_cast<float>(i) + 0.5f) * scale - 0.5f);
    const int first = Min(static_cast<int>(at), from - 1);
    return {first, Min(first + 1, from - 1), at - static_cast<float>(first)};
  }
  FIRSTBYTE_DEVICE static float Clamped(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }

  FIRSTBYTE_DEVICE float Mixed(int row, int line, const Between& x, int channel) const {
    return At(row, line, x.first, channel) * (1 - x.share) +
           At(row, line, x.second, channel) * x.share;
  }
  FIRSTBYTE_DEVICE float At(int row, int line, int place, int channel) const {
    const int r = step.ratio, part = line % r * r + place % r;
    const int64_t map = static_cast<int64_t>(row) * step.height * step.width;
    const int64_t pixel = map + static_cast<int64_t>(line / r) * step.width + place / r;
    return Clamped(ToFloat(step.x[pixel * step.x_stride + part * 3 + channel]));
  }
};

}  // namespace firstbyte::cuda

// Pictures on the device: maps of [height, width, channels], one for each row of a bucket.
//
// A 3 x 3 convolution is two steps. Taps lays the nine neighbours of every pixel side by side, and
// a product multiplies them: so convolutions run on cuBLASLt's tensor cores, have a product's bias,
// activation and sum, and its rule that a row does not know its batch, with no kernel of our own to
// tune for each size. The price is a copy of nine times the map. For the largest here, 0.5 MB a map
// of 16 x 16, that is little beside what starting a kernel costs; a convolution that gathers while
// it multiplies pays from maps of a megabyte on, which no family has yet.
//
// Pixels are `stride` elements apart, at least `channels`: a product's rows begin at 16 bytes.
#pragma once

#include <cmath>

#include "model/cuda/steps.h"

namespace firstbyte::cuda {

// Zeros lie around a map, as for kernels::ConvStep. `height` and `width` are the taps': a map may
// be smaller, with each of its pixels standing for scale x scale of them.
template <typename T>
struct TapsStep {
  const T* x;            // [rows] of [height, width, channels]
  const int32_t* slots;  // [rows]
  T* taps;  // [rows * height * width] of [3, 3, channels], then zeros up to taps_stride
  int rows, height, width, channels;
  int x_stride, taps_stride;
  // [slots] of maps like x, whose channels follow x's in every tap; null: none. The frame before.
  const T* past = nullptr;
  int scale = 1;
};

// Normalisation over a whole map (GroupNorm of one group), then gain and bias by channel.
template <typename T>
struct MapNormStep {
  const T* x;            // [rows] of [pixels, channels]
  const float* gain;     // [channels]
  const float* bias;     // [channels]
  const int32_t* slots;  // [rows]
  T* y;                  // as x, and not x
  float epsilon;
  int rows, pixels, channels, stride;
};

// A picture of pixels that each hold ratio x ratio of a larger one.
template <typename T>
struct ShuffleStep {
  const T* x;            // [rows] of [height, width] of [ratio, ratio, channels]
  const int32_t* slots;  // [rows]
  T* y;                  // [rows] of [ratio height, ratio width, channels]
  float add;             // to every value
  int rows, height, width, ratio, channels;
  int x_stride, y_stride;
};

template <typename T>
struct Taps {
  static constexpr int kThreads = 128;
  struct Shared {};

  TapsStep<T> step;

  Grid grid() const { return {step.height * step.width, step.rows}; }
  bool fits() const {
    return step.height > 0 && step.width > 0 && step.channels > 0 &&
           step.x_stride >= step.channels && step.taps_stride >= 9 * tap_channels() &&
           step.scale > 0 && step.height % step.scale == 0 && step.width % step.scale == 0;
  }
  constexpr int tap_channels() const {
    return step.past == nullptr ? step.channels : 2 * step.channels;
  }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    const TapsStep<T>& s = step;
    const int pixel = block.at.x, line = pixel / s.width, place = pixel % s.width;
    const int slot = s.slots[block.at.y];
    if (slot < 0) return;
    const int64_t row = block.at.y, pixels = static_cast<int64_t>(s.height) * s.width;
    const int64_t from_pixels = pixels / (s.scale * s.scale);
    T* taps = s.taps + (row * pixels + pixel) * s.taps_stride;
    block.Each([&](int t) {
      for (int i = t; i < s.taps_stride; i += kThreads) {
        const int tap = i / tap_channels(), channel = i % tap_channels();
        const int from_line = line + tap / 3 - 1, from_place = place + tap % 3 - 1;
        if (tap >= 9 || from_line < 0 || from_line >= s.height || from_place < 0 ||
            from_place >= s.width) {
          Store(0, taps + i);
          continue;
        }
        const int64_t from =
            static_cast<int64_t>(from_line / s.scale) * (s.width / s.scale) + from_place / s.scale;
        taps[i] = channel < s.channels
                      ? s.x[(row * from_pixels + from) * s.x_stride + channel]
                      : s.past[(slot * from_pixels + from) * s.x_stride + channel - s.channels];
      }
    });
  }
};

// A block has a map. Mean first, then what is left: squares of large values would lose it.
template <typename T>
struct MapNorm {
  static constexpr int kThreads = 256, kWarps = kThreads / kWarp;
  struct Shared {
    float sums[2][kWarps];
  };

  MapNormStep<T> step;

  Grid grid() const { return {step.rows}; }
  bool fits() const { return step.pixels > 0 && step.channels > 0 && step.stride >= step.channels; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared& shared) const {
    const MapNormStep<T>& s = step;
    if (s.slots[block.at.x] < 0) return;
    const int64_t map = static_cast<int64_t>(block.at.x) * s.pixels * s.stride;
    const int count = s.pixels * s.channels;
    const auto value = [&](int i) {
      return ToFloat(s.x[map + static_cast<int64_t>(i / s.channels) * s.stride + i % s.channels]);
    };
    typename Block::template PerThread<float> sums;
    block.Each([&](int t) {
      sums[t] = 0;
      for (int i = t; i < count; i += kThreads) sums[t] += value(i);
    });
    Gather(block, sums, shared.sums[0]);
    block.Each([&](int t) {
      const float mean = Total(shared.sums[0]) / count;
      sums[t] = 0;
      for (int i = t; i < count; i += kThreads) {
        sums[t] = fmaf(value(i) - mean, value(i) - mean, sums[t]);
      }
    });
    Gather(block, sums, shared.sums[1]);
    block.Each([&](int t) {
      const float mean = Total(shared.sums[0]) / count;
      const float scale = 1 / sqrtf(Total(shared.sums[1]) / count + s.epsilon);
      for (int i = t; i < count; i += kThreads) {
        const int channel = i % s.channels;
        const float y = fmaf((value(i) - mean) * scale, s.gain[channel], s.bias[channel]);
        Store(y, s.y + map + static_cast<int64_t>(i / s.channels) * s.stride + channel);
      }
    });
  }

 private:
  template <typename Block, typename Sums>
  FIRSTBYTE_DEVICE static void Gather(Block& block, Sums& sums, float* warps) {
    block.WarpSum(sums);
    block.Each([&](int t) {
      if (t % kWarp == 0) warps[t / kWarp] = sums[t];
    });
  }
  FIRSTBYTE_DEVICE static float Total(const float* warps) {
    float total = 0;
    for (int w = 0; w < kWarps; ++w) total += warps[w];
    return total;
  }
};

template <typename T>
struct Shuffle {
  static constexpr int kThreads = 256;
  struct Shared {};

  ShuffleStep<T> step;

  int values() const { return step.height * step.width * step.ratio * step.ratio * step.channels; }
  Grid grid() const { return {CeilDiv(values(), kThreads), step.rows}; }
  bool fits() const {
    return step.height > 0 && step.width > 0 && step.ratio > 0 && step.channels > 0 &&
           step.x_stride >= step.ratio * step.ratio * step.channels &&
           step.y_stride >= step.channels;
  }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    const ShuffleStep<T>& s = step;
    if (s.slots[block.at.y] < 0) return;
    const int wide = s.ratio * s.width, count = s.ratio * s.height * wide * s.channels;
    const int64_t small = static_cast<int64_t>(block.at.y) * s.height * s.width;
    const int64_t large = small * s.ratio * s.ratio;
    block.Each([&](int t) {
      const int i = block.at.x * kThreads + t, pixel = i / s.channels;
      if (i >= count) return;
      const int line = pixel / wide, place = pixel % wide;
      const int part = line % s.ratio * s.ratio + place % s.ratio;
      const int64_t from = small + line / s.ratio * s.width + place / s.ratio;
      const float x = ToFloat(s.x[from * s.x_stride + part * s.channels + i % s.channels]);
      Store(x + s.add, s.y + (large + pixel) * s.y_stride + i % s.channels);
    });
  }
};

}  // namespace firstbyte::cuda

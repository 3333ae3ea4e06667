// Causal networks over time on the device, beside their products: a convolution of 3 taps is taps
// and a product, as on pictures (maps.h), and remembers what the stream was given before.
//
// A step has a segment of each stream. Its mel frames lie at places 0, 1, ... of the stream's row
// of a map of [rows, places, channels]; what lies at places beyond its count is not looked at. So a
// stream may be cut in any way, and the sizes are the bucket's.
#pragma once

#include <cmath>

#include "model/cuda/steps.h"

namespace firstbyte::cuda {

// Mel frames [begin, begin + count) of a stream, count <= places. One that is before the stream's
// first, 0, is blank: zeros, whatever lies in its place.
struct Segment {
  int64_t begin;
  int32_t count;
};

template <typename T>
struct CausalTapsStep {
  const T* x;               // [rows, places] of channels
  const Segment* segments;  // [rows]
  const int32_t* slots;     // [rows]
  T* tails;                 // [slots, 2, channels]: of the two mel frames before; updated
  T* taps;                  // [rows * places] of [3, channels], then zeros up to taps_stride
  int rows, places, channels;
  int x_stride, taps_stride;
};

// y = tanh(first half of x) * sigmoid(second half)
template <typename T>
struct TanhGateStep {
  const T* x;  // [rows] of 2 width
  T* y;        // [rows] of width
  int64_t x_stride, y_stride;
  int rows, width;
};

// A block has some channels of a stream, so that it alone reads and writes their tail.
template <typename T>
struct CausalTaps {
  static constexpr int kThreads = 256, kTaps = 3;
  struct Shared {};

  CausalTapsStep<T> step;

  Grid grid() const { return {CeilDiv(step.channels, kWarp), step.rows}; }
  bool fits() const {
    return step.places > 0 && step.channels > 0 && step.x_stride >= step.channels &&
           step.taps_stride >= kTaps * step.channels &&
           step.taps_stride < kTaps * step.channels + kWarp;
  }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    const int row = block.at.y, slot = step.slots[row];
    if (slot < 0) return;
    const Segment segment = step.segments[row];
    T* tail = step.tails + static_cast<int64_t>(slot) * (kTaps - 1) * step.channels;
    block.Each([&](int t) {
      const int channel = block.at.x * kWarp + t % kWarp;
      for (int place = t / kWarp; place < segment.count; place += kThreads / kWarp) {
        T* taps = step.taps + (static_cast<int64_t>(row) * step.places + place) * step.taps_stride;
        for (int tap = 0; tap < kTaps && channel < step.channels; ++tap) {
          taps[tap * step.channels + channel] =
              Input(segment, row, place - kTaps + 1 + tap, channel, tail);
        }
        const int beyond = kTaps * step.channels + t % kWarp;
        if (block.at.x == 0 && beyond < step.taps_stride) Store(0, taps + beyond);
      }
    });
    block.Each([&](int t) {
      const int channel = block.at.x * kWarp + t;
      if (t >= kWarp || channel >= step.channels) return;
      const T before = Input(segment, row, segment.count - 2, channel, tail);
      const T last = Input(segment, row, segment.count - 1, channel, tail);
      tail[channel] = before;
      tail[step.channels + channel] = last;
    });
  }

 private:
  FIRSTBYTE_DEVICE T Input(const Segment& segment, int row, int place, int channel,
                           const T* tail) const {
    if (segment.begin + place < 0) return T{};
    if (place < 0) return tail[(kTaps - 1 + place) * step.channels + channel];
    return step.x[(static_cast<int64_t>(row) * step.places + place) * step.x_stride + channel];
  }
};

template <typename T>
struct TanhGate {
  static constexpr int kThreads = 256;
  struct Shared {};

  TanhGateStep<T> step;

  Grid grid() const { return {step.rows, CeilDiv(step.width, kThreads)}; }
  bool fits() const {
    return step.width > 0 && step.x_stride >= 2 * step.width && step.y_stride >= step.width;
  }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    block.Each([&](int t) {
      const int i = block.at.y * kThreads + t;
      if (i >= step.width) return;
      const T* x = step.x + block.at.x * step.x_stride + i;
      const float gate = 1 / (1 + expf(-ToFloat(x[step.width])));
      Store(tanhf(ToFloat(*x)) * gate, step.y + block.at.x * step.y_stride + i);
    });
  }
};

}  // namespace firstbyte::cuda

// Products on the device: y = activation(x W' + b), by one algorithm for any number of rows.
#pragma once

#include <cmath>
#include <cstdint>

#include "model/cuda/steps.h"

namespace firstbyte::cuda {

// What a product multiplies; it adds up in float. kTf32: floats, of whose fraction 10 bits are
// used.
enum class Number : int32_t { kF32, kTf32, kF16, kBf16 };
constexpr int BytesOf(Number number) {
  return number == Number::kF32 || number == Number::kTf32 ? 4 : 2;
}

// f of a value of what activations beside such products are made of.
template <typename F>
auto OfNumber(Number number, F f) {
  if (number == Number::kBf16) return f(Bf16{});
  return number == Number::kF16 ? f(F16{}) : f(float{});
}

enum class Activation : int32_t { kNone, kSilu, kReluSquared, kRelu };

// A product as its layer knows it when the model opens: all but the rows. The algorithm is chosen
// then, one that adds over k in one order whatever the rows, so a row does not know its bucket.
struct ProductShape {
  Number number;  // of x and the weights
  bool wide;      // y and bias are float; else they are what x is
  bool bias;
  bool add;               // y += x W' + b; then there is no activation
  Activation activation;  // what it works on is y, rounded to its type
  int most_rows, n, k;
  int64_t x_stride, y_stride;  // elements from row to row

  bool fits() const {
    return most_rows > 0 && n > 0 && k > 0 && x_stride >= k && y_stride >= n &&
           !(add && activation != Activation::kNone);
  }
  int y_bytes() const { return wide ? 4 : BytesOf(number); }  // of an element
};

// Addresses are aligned to 16 bytes.
struct ProductStep {
  const void* x;        // [rows, k]
  const void* weights;  // [n, k]
  const void* bias;     // [n]
  void* y;              // [rows, n]
  int rows;             // at most the shape's
};

// y = activation(y), in place; of y + a row that every `tokens` rows share, if there is `add`.
template <typename T>
struct ActivateStep {
  T* y;            // [rows] of width, `stride` apart
  int64_t stride;  // elements
  int rows, width;
  Activation activation;
  const T* add = nullptr;  // [rows / tokens] of width, `stride` apart
  int tokens = 1;
};

template <typename T>
struct Activate {
  static constexpr int kThreads = 256;
  struct Shared {};

  ActivateStep<T> step;

  Grid grid() const { return {step.rows, CeilDiv(step.width, kThreads)}; }
  bool fits() const { return step.width > 0 && step.stride >= step.width && step.tokens > 0; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    block.Each([&](int t) {
      const int i = block.at.y * kThreads + t;
      if (i >= step.width) return;
      T* y = step.y + block.at.x * step.stride + i;
      float x = ToFloat(*y);
      if (step.add != nullptr) x += ToFloat(step.add[block.at.x / step.tokens * step.stride + i]);
      const float positive = Max(x, 0);
      if (step.activation == Activation::kNone) Store(x, y);
      if (step.activation == Activation::kSilu) Store(x / (1 + expf(-x)), y);
      if (step.activation == Activation::kReluSquared) Store(positive * positive, y);
      if (step.activation == Activation::kRelu) Store(positive, y);
    });
  }
};

// y = silu(gate) * up, of what one product has made of both.
template <typename T>
struct SwigluStep {
  const T* gate_up;  // [rows] of gate [width], up [width]
  T* y;              // [rows, width]
  int rows, width;
};

template <typename T>
struct Swiglu {
  static constexpr int kThreads = 256;
  struct Shared {};

  SwigluStep<T> step;

  Grid grid() const { return {step.rows, CeilDiv(step.width, kThreads)}; }
  bool fits() const { return step.width > 0; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    const T* gate = step.gate_up + static_cast<int64_t>(block.at.x) * 2 * step.width;
    T* y = step.y + static_cast<int64_t>(block.at.x) * step.width;
    block.Each([&](int t) {
      const int i = block.at.y * kThreads + t;
      if (i >= step.width) return;
      const float x = ToFloat(gate[i]);
      Store(x / (1 + expf(-x)) * ToFloat(gate[step.width + i]), y + i);
    });
  }
};

}  // namespace firstbyte::cuda

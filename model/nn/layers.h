// The layers that model families are written in: weights plus a kernel table, nothing else.
//
// Immutable after loading, so thread-safe on distinct outputs; no method allocates. Buffers are
// row-major float32 and belong to the caller; m is a number of rows. A layer's kernels are behind
// one table, so that a device is a table and the families stay as they are.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "model/kernels/causal.h"
#include "model/kernels/kernels.h"
#include "model/nn/tensor.h"

namespace firstbyte::nn {

using kernels::Epilogue;
using kernels::KernelTable;

// y = epilogue(x W' + b)
class Linear {
 public:
  Linear() = default;
  // weight [n, k]; bias [n] or empty.
  Linear(const KernelTable& kernels, absl::Span<const float> weight, absl::Span<const float> bias,
         int n, int k);

  // x [m, k], y [m, n], rows contiguous.
  void Forward(const float* x, int m, float* y, Epilogue epilogue = Epilogue::kNone) const {
    kernels_->linear(packed_, x, packed_.k, m, y, packed_.n, epilogue);
  }
  int inputs() const { return packed_.k; }
  int outputs() const { return packed_.n; }
  const kernels::PackedWeights& packed() const { return packed_; }

 private:
  const KernelTable* kernels_ = nullptr;
  Tensor panels_, bias_;
  kernels::PackedWeights packed_;
};

class RmsNorm {
 public:
  RmsNorm() = default;
  RmsNorm(const KernelTable& kernels, absl::Span<const float> gain, float epsilon);

  // x, y [m, size]
  void Forward(const float* x, int m, float* y) const {
    kernels_->rms_norm(x, gain_.data(), epsilon_, m, static_cast<int>(gain_.size()), y);
  }

 private:
  const KernelTable* kernels_ = nullptr;
  Tensor gain_;
  float epsilon_ = 0;
};

class Embedding {
 public:
  Embedding() = default;
  Embedding(absl::Span<const float> table, int rows, int size);  // table [rows, size]

  int rows() const { return rows_; }
  int size() const { return size_; }
  // Copies row `index` to out[0..size). 0 <= index < rows().
  void Copy(int index, float* out) const;

 private:
  Tensor table_;
  int rows_ = 0, size_ = 0;
};

// A convolution's weight as PyTorch stores it, [n, channels, taps], as rows that meet gathered
// inputs: [n, taps, channels].
std::vector<float> TapsFirst(absl::Span<const float> weight, int n, int channels, int taps);

// Tiles of kCausalRows rows that belong to one stream, with what the convolution remembers of it.
struct ConvSegment {
  float* tail;  // [2, channels]: the stream's last inputs, zeros at its start; updated
  int tiles;
};

// Causal convolution of 3 taps over time, continued across calls: a stream cut between any two
// tiles gives the same rows.
class CausalConv {
 public:
  static constexpr int kTaps = 3;

  // What a call works in, made once.
  struct Scratch {
    Scratch(int most_tiles, int most_channels);
    std::vector<const float*> rows;
    Tensor floats;
  };

  CausalConv() = default;
  // weight [n, channels, 3] as PyTorch stores it; bias [n].
  CausalConv(const KernelTable& kernels, absl::Span<const float> weight,
             absl::Span<const float> bias, int n, int channels);

  int64_t tail_floats() const { return int64_t{kTaps - 1} * channels_; }
  // x [rows, channels]: the segments one after another -> y [rows, n].
  void Forward(const float* x, absl::Span<const ConvSegment> segments, Scratch* scratch, float* y,
               Epilogue epilogue = Epilogue::kNone) const;

 private:
  const KernelTable* kernels_ = nullptr;
  Linear weights_;  // [n, 3 * channels], taps first
  int channels_ = 0;
};

}  // namespace firstbyte::nn

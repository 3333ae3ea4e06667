#include "model/nn/layers.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace firstbyte::nn {

std::vector<float> TapsFirst(absl::Span<const float> weight, int n, int channels, int taps) {
  std::vector<float> out(weight.size());
  for (int row = 0; row < n; ++row) {
    for (int c = 0; c < channels; ++c) {
      for (int t = 0; t < taps; ++t) {
        out[(row * taps + t) * channels + c] = weight[(row * channels + c) * taps + t];
      }
    }
  }
  return out;
}

Linear::Linear(const KernelTable& kernels, absl::Span<const float> weight,
               absl::Span<const float> bias, int n, int k)
    : kernels_(&kernels),
      bias_({(n + kernels::kPanel - 1) / kernels::kPanel * kernels::kPanel}),
      packed_{nullptr, bias_.data(), n, k} {
  std::copy(bias.begin(), bias.end(), bias_.data());
  const int64_t size = kernels::PackedFloats(n, k);
  panels_ = Tensor({size / 2});
  auto* narrow = reinterpret_cast<uint16_t*>(panels_.data());
  if (kernels::PackNarrow(weight.data(), n, k, kernels.lanes, narrow)) {
    packed_.narrow = narrow;
    return;
  }
  panels_ = Tensor({size});
  kernels::PackWeights(weight.data(), n, k, panels_.data());
  packed_.panels = panels_.data();
}

RmsNorm::RmsNorm(const KernelTable& kernels, absl::Span<const float> gain, float epsilon)
    : kernels_(&kernels), gain_(Tensor::Of({gain.begin(), gain.end()})), epsilon_(epsilon) {}

Embedding::Embedding(absl::Span<const float> table, int rows, int size)
    : table_(Tensor::Of({table.begin(), table.end()})), rows_(rows), size_(size) {}

void Embedding::Copy(int index, float* out) const {
  std::memcpy(out, table_.data() + static_cast<int64_t>(index) * size_, sizeof(float) * size_);
}

CausalConv::CausalConv(const KernelTable& kernels, absl::Span<const float> weight,
                       absl::Span<const float> bias, int n, int channels, int taps)
    : linear_(kernels, TapsFirst(weight, n, channels, taps), bias, n, taps * channels),
      channels_(channels),
      taps_(taps) {}

void CausalConv::Forward(const float* x, absl::Span<const ConvSegment> segments, float* scratch,
                         float* y, Epilogue epilogue) const {
  const int64_t tail = tail_floats(), row = static_cast<int64_t>(taps_) * channels_;
  float* gathered = scratch;
  int m = 0;
  for (const ConvSegment& segment : segments) {
    for (int r = 0; r < segment.rows; ++r, gathered += row) {
      // Rows r - taps + 1 .. r of the stream; those before 0 are in the tail.
      const int old = std::max(0, taps_ - 1 - r);
      std::copy_n(segment.tail + tail - static_cast<int64_t>(old) * channels_,
                  static_cast<int64_t>(old) * channels_, gathered);
      std::copy_n(x + static_cast<int64_t>(r - taps_ + 1 + old) * channels_,
                  (taps_ - old) * static_cast<int64_t>(channels_),
                  gathered + static_cast<int64_t>(old) * channels_);
    }
    // The last gathered row ends with the new tail.
    if (segment.rows > 0) std::copy_n(gathered - tail, tail, segment.tail);
    x += static_cast<int64_t>(segment.rows) * channels_;
    m += segment.rows;
  }
  linear_.Forward(scratch, m, y, epilogue);
}

}  // namespace firstbyte::nn

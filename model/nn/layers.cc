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

CausalConv::Scratch::Scratch(int most_tiles, int most_channels)
    : rows(size_t{kernels::kCausalInputs} * most_tiles),
      floats({kernels::CausalScratchFloats(most_tiles, most_channels)}) {}

CausalConv::CausalConv(const KernelTable& kernels, absl::Span<const float> weight,
                       absl::Span<const float> bias, int n, int channels)
    : kernels_(&kernels),
      weights_(kernels, TapsFirst(weight, n, channels, kTaps), bias, n, kTaps * channels),
      channels_(channels) {}

void CausalConv::Forward(const float* x, absl::Span<const ConvSegment> segments, Scratch* scratch,
                         float* y, Epilogue epilogue) const {
  constexpr int kOlder = kTaps - 1;
  const float** row = scratch->rows.data();
  const float* segment_x = x;
  int tiles = 0;
  for (const ConvSegment& segment : segments) {
    const int rows = segment.tiles * kernels::kCausalRows;
    for (int first = 0; first < rows; first += kernels::kCausalRows) {
      for (int r = first - kOlder; r < first + kernels::kCausalRows; ++r) {
        *row++ = r < 0 ? segment.tail + (r + kOlder) * channels_ : segment_x + r * channels_;
      }
    }
    segment_x += static_cast<int64_t>(rows) * channels_;
    tiles += segment.tiles;
  }
  kernels_->causal(
      {&weights_.packed(), scratch->rows.data(), y, scratch->floats.data(), tiles, epilogue});
  for (const ConvSegment& segment : segments) {
    x += static_cast<int64_t>(segment.tiles) * kernels::kCausalRows * channels_;
    if (segment.tiles > 0) std::copy_n(x - tail_floats(), tail_floats(), segment.tail);
  }
}

}  // namespace firstbyte::nn

#include "model/nn/map_layers.h"

#include <algorithm>
#include <vector>

#include "model/kernels/maps.h"

namespace firstbyte::nn {
Conv3x3::Conv3x3(const KernelTable& kernels, absl::Span<const float> weight,
                 absl::Span<const float> bias, int n, int channels)
    : kernels_(&kernels),
      panels_({kernels::PackedFloats(n, 9 * channels)}),
      bias_({(n + kernels::kPanel - 1) / kernels::kPanel * kernels::kPanel}),
      channels_(channels) {
  kernels::PackWeights(TapsFirst(weight, n, channels, 9).data(), n, 9 * channels, panels_.data());
  std::copy(bias.begin(), bias.end(), bias_.data());
  packed_ = {panels_.data(), bias_.data(), n, 9 * channels};
}

void Conv3x3::Forward(const float* x, int maps, int height, int width, float* y,
                      Epilogue epilogue) const {
  kernels_->conv3x3({&packed_, x, y, maps, height, width, channels_, epilogue, false});
}

void Conv3x3::ForwardBordered(const float* x, int maps, int height, int width, float* y,
                              Epilogue epilogue) const {
  kernels_->conv3x3({&packed_, x, y, maps, height, width, channels_, epilogue, true});
}

WinogradConv::WinogradConv(const KernelTable& kernels, absl::Span<const float> weight,
                           absl::Span<const float> bias, int n, int channels)
    : kernels_(&kernels),
      panels_({16, kernels::PackedFloats(n, channels)}),
      bias_({(n + kernels::kPanel - 1) / kernels::kPanel * kernels::kPanel}),
      zeros_({bias_.size()}),
      channels_(channels) {
  std::vector<float> products(size_t{16} * n * channels);
  kernels::WinogradWeights(weight.data(), n, channels, products.data());
  for (int i = 0; i < 16; ++i) {
    float* panels = panels_.data() + i * kernels::PackedFloats(n, channels);
    kernels::PackWeights(&products[size_t{1} * i * n * channels], n, channels, panels);
    products_[i] = {panels, zeros_.data(), n, channels};
  }
  std::copy(bias.begin(), bias.end(), bias_.data());
  finish_ = {nullptr, bias_.data(), n, channels};
}

int64_t WinogradConv::scratch_floats(int height, int width) const {
  return kernels::WinogradScratchFloats(height, width, channels_, finish_.n);
}

void WinogradConv::Forward(const float* x, int maps, int height, int width, float* y,
                           Epilogue epilogue, bool bordered, float* scratch) const {
  kernels_->winograd(
      {products_, &finish_, x, y, maps, height, width, channels_, epilogue, bordered, scratch});
}

MapNorm::MapNorm(const KernelTable& kernels, absl::Span<const float> gain,
                 absl::Span<const float> bias, float epsilon)
    : kernels_(&kernels),
      gain_(Tensor::Of({gain.begin(), gain.end()})),
      bias_(Tensor::Of({bias.begin(), bias.end()})),
      epsilon_(epsilon) {}

void MapNorm::Forward(const float* x, int maps, int height, int width, bool silu, float* y) const {
  kernels_->map_norm({x, gain_.data(), bias_.data(), epsilon_, silu, y, maps, height, width,
                      static_cast<int>(gain_.size())});
}

}  // namespace firstbyte::nn

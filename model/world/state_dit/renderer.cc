#include "model/world/state_dit/renderer.h"

#include <algorithm>
#include <string>

namespace firstbyte::state_dit {

Renderer::Buffers::Buffers(const Config& c, int places)
    : rays(c, places),
      features({places, c.rays.count, c.rays.features}),
      halves({places * kLatentSide, 2 * c.renderer.width}),
      x({places * kLatentSide, c.renderer.width}),
      y({places * kLatentSide, c.renderer.width}),
      columns({places * kLatentSide, c.column_features()}),
      out({places * kLatentSide, kLatentSide * c.latent_channels}) {
  poses.reserve(places);
}

Renderer::Renderer(const Config& config, const nn::KernelTable& kernels, nn::WeightLoader* weights)
    : kernels_(&kernels), config_(config), rays_(config, kernels, weights) {
  const RendererConfig& r = config_.renderer;
  for (int i = 0; i < r.layers; ++i) {
    layers_.emplace_back("renderer.layers." + std::to_string(i),
                         i == 0 ? config_.column_features() : r.width, r.width, kernels, weights);
  }
  head_ = weights->LoadLinear("renderer.head", kLatentSide * config_.latent_channels, r.width,
                              nn::Bias::kYes);
  const int themes = static_cast<int>(config_.themes.size());
  nn::Linear film =
      weights->LoadLinear("renderer.film", 2 * r.layers * r.width, themes, nn::Bias::kYes);
  if (!weights->status().ok()) return;
  // A theme is a one-hot: its scales and shifts are known beforehand.
  nn::Tensor one_hots({themes, themes});
  for (int i = 0; i < themes; ++i) one_hots.data()[i * themes + i] = 1;
  film_ = nn::Tensor({themes, 2 * r.layers * r.width});
  film.Forward(one_hots.data(), themes, film_.data());
}

void Renderer::See(absl::Span<const Place> places, bool always, Buffers* b) const {
  b->poses.clear();
  for (const Place& place : places) b->poses.push_back(place.pose);
  rays_.Features(b->poses, &b->rays, b->features.data());
  const int size = config_.column_features();
  const int64_t stride = static_cast<int64_t>(config_.renderer.stride) * config_.rays.features;
  const int64_t rays = static_cast<int64_t>(config_.rays.count) * config_.rays.features;
  for (size_t i = 0; i < places.size(); ++i) {
    float* columns = b->columns.data() + i * kLatentSide * size;
    for (int c = 0; c < kLatentSide; ++c) {
      std::copy_n(b->features.data() + i * rays + c * stride, size, columns + c * size);
    }
    if (places[i].columns != nullptr) {
      std::copy_n(columns, kLatentSide * size, places[i].columns);
    }
  }
  if (config_.dit.renderer || always) return Estimate(places, b);
  for (const Place& place : places) {
    std::fill_n(place.estimate, kVideoTokens * config_.latent_channels, 0.0f);
  }
}

void Renderer::ScaleAndShift(const Place& place, size_t layer, float* y) const {
  const int width = config_.renderer.width;
  const float* scale = film_.data() + (place.theme * layers_.size() + layer) * 2 * width;
  for (int row = 0; row < kLatentSide; ++row) {
    for (int i = 0; i < width; ++i, ++y) *y = *y * (1 + scale[i]) + scale[width + i];
  }
}

void Renderer::Estimate(absl::Span<const Place> places, Buffers* b) const {
  const int m = static_cast<int>(places.size()) * kLatentSide, width = config_.renderer.width;
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    float* y = layer == 0 ? b->x.data() : b->y.data();
    layers_[layer].Forward(layer == 0 ? b->columns.data() : b->x.data(), m, b->halves.data(), y);
    for (size_t i = 0; i < places.size(); ++i) {
      ScaleAndShift(places[i], layer, y + i * kLatentSide * width);
    }
    if (layer > 0) kernels_->add(y, static_cast<int64_t>(m) * width, b->x.data());
  }
  head_.Forward(b->x.data(), m, b->out.data());
  // From [columns][rows] to tokens, [rows][columns].
  const int channels = config_.latent_channels;
  const float* from = b->out.data();
  for (const Place& place : places) {
    for (int column = 0; column < kLatentSide; ++column) {
      for (int row = 0; row < kLatentSide; ++row, from += channels) {
        std::copy_n(from, channels, place.estimate + (row * kLatentSide + column) * channels);
      }
    }
  }
}

}  // namespace firstbyte::state_dit

#include "bench/eager_world.h"

#include <ATen/ATen.h>

namespace firstbyte {
namespace {

using at::Tensor;
using state_dit::kTokens;

constexpr double kEpsilon = 1e-6;

Tensor RmsNorm(const Tensor& x) {
  return x * at::rsqrt(x.square().mean(-1, /*keepdim=*/true) + kEpsilon);
}

Tensor Rotate(const Tensor& x, const Tensor& cosines, const Tensor& sines) {
  std::vector<Tensor> halves = x.chunk(2, -1);
  return at::cat({halves[0] * cosines - halves[1] * sines, halves[0] * sines + halves[1] * cosines},
                 -1);
}

}  // namespace

EagerWorld::EagerWorld(const SafeTensors& file, const state_dit::Config& config, int batch)
    : config_(config), batch_(batch) {
  for (const auto& [name, view] : file.tensors()) {
    Tensor tensor = at::empty(view.shape, at::kFloat);
    WidenToFloat(view, tensor.data_ptr<float>());
    weights_[name] = tensor;
  }
  const state_dit::DitConfig& d = config_.dit;
  for (int layer = 0; layer < d.layers; ++layer) {
    keys_.push_back(at::randn({batch, d.window * kTokens, d.heads, 64}));
    values_.push_back(at::randn({batch, d.window * kTokens, d.heads, 64}));
  }
  tokens_ = at::randn({batch, kTokens, d.width});
  condition_ = at::randn({batch, d.condition});
  Tensor angles = at::rand({1, kTokens, 1, 32});
  cosines_ = angles.cos();
  sines_ = angles.sin();
  latents_ = at::randn({batch, config_.latent_channels, 4, 4});
}

Tensor EagerWorld::Block(const Tensor& input, const Tensor& condition, int layer) {
  const std::string p = "dit.blocks." + std::to_string(layer) + ".";
  std::vector<Tensor> m =
      at::linear(condition, W(p + "modulation.weight"), W(p + "modulation.bias"))
          .unsqueeze(1)
          .chunk(6, -1);
  Tensor x = RmsNorm(input) * (1 + m[1]) + m[0];
  std::vector<Tensor> qkv = at::linear(x, W(p + "qkv.weight"))
                                .view({batch_, kTokens, 3, config_.dit.heads, 64})
                                .unbind(2);
  Tensor q = Rotate(RmsNorm(qkv[0]) * W(p + "query_gain"), cosines_, sines_);
  Tensor k = Rotate(RmsNorm(qkv[1]) * W(p + "key_gain"), cosines_, sines_);
  Tensor keys = at::cat({keys_[layer], k}, 1).transpose(1, 2);
  Tensor values = at::cat({values_[layer], qkv[2]}, 1).transpose(1, 2);
  Tensor attended = at::scaled_dot_product_attention(q.transpose(1, 2), keys, values);
  x = input + m[2] * at::linear(attended.transpose(1, 2).flatten(2), W(p + "out.weight"));
  Tensor y = RmsNorm(x) * (1 + m[4]) + m[3];
  y = at::linear(at::relu(at::linear(y, W(p + "up.weight"))).square(), W(p + "down.weight"));
  return x + m[5] * y;
}

void EagerWorld::Pass() {
  Tensor x = tokens_;
  for (int layer = 0; layer < config_.dit.layers; ++layer) x = Block(x, condition_, layer);
  std::vector<Tensor> m =
      at::linear(condition_, W("dit.final.weight"), W("dit.final.bias")).unsqueeze(1).chunk(2, -1);
  x = RmsNorm(x) * (1 + m[1]) + m[0];
  Tensor video =
      at::linear(x.slice(1, 0, kTokens - 2), W("dit.video_out.weight"), W("dit.video_out.bias"));
}

Tensor EagerWorld::Convolve(const Tensor& x, const std::string& name) const {
  Tensor weight = W(name + ".weight");
  const int64_t padding = weight.size(2) / 2;
  return at::conv2d(x, weight, W(name + ".bias"), 1, padding);
}

Tensor EagerWorld::Residual(const Tensor& x, const std::string& name) const {
  Tensor y = at::group_norm(x, 1, W(name + ".norm.weight"), W(name + ".norm.bias"));
  return x + Convolve(at::silu(Convolve(y, name + ".conv1")), name + ".conv2");
}

void EagerWorld::Decode() {
  const std::string p = "autoencoder.decoder.";
  Tensor x = Residual(Convolve(latents_, p + "conv_in"), p + "block4");
  x = at::pixel_shuffle(Convolve(x, p + "up8"), 2);
  x = Residual(Residual(x, p + "block8a"), p + "block8b");
  x = at::pixel_shuffle(Convolve(x, p + "up16"), 2);
  x = Residual(Residual(x, p + "block16a"), p + "block16b");
  x = at::pixel_shuffle(Convolve(at::silu(x), p + "conv_out"), 4) + 0.5;
}

}  // namespace firstbyte

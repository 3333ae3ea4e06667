// The world's two large networks as eager LibTorch, written as people usually write them: what the
// engine is compared with. Speed only; parity is tests/model/world/state_dit/golden_test.cc.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/io/safetensors.h"
#include "model/world/state_dit/config.h"

namespace firstbyte {

class EagerWorld {
 public:
  // Throws when the file is not a world of this family.
  EagerWorld(const SafeTensors& file, const state_dit::Config& config, int batch);

  // One DiT pass of `batch` frames over full rings, without what makes its inputs.
  void Pass();
  // The decoder, from latents to pixels.
  void Decode();

 private:
  at::Tensor W(const std::string& name) const { return weights_.at(name); }
  at::Tensor Block(const at::Tensor& x, const at::Tensor& condition, int layer);
  at::Tensor Residual(const at::Tensor& x, const std::string& name) const;
  at::Tensor Convolve(const at::Tensor& x, const std::string& name) const;

  const state_dit::Config config_;
  const int batch_;
  std::map<std::string, at::Tensor> weights_;
  std::vector<at::Tensor> keys_, values_;  // [batch, window * 18, heads, 64]
  at::Tensor tokens_, condition_, cosines_, sines_, latents_;
};

}  // namespace firstbyte

// The voice's two large networks as eager LibTorch, written as people usually write them: what the
// engine is compared with. Speed only; parity is tests/model/speech/aligned_mel/golden_test.cc.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/io/safetensors.h"

namespace firstbyte {

class EagerVoice {
 public:
  // Throws when the file is not the embedded voice's.
  explicit EagerVoice(const SafeTensors& file, int batch);

  // One acoustic step of `batch` rows at window-full caches.
  void Generate();
  // The vocoder on `frames` frames of `batch` rows.
  void Decode(int frames);

 private:
  at::Tensor W(const std::string& name) const { return weights_.at(name); }
  at::Tensor Block(const at::Tensor& x, int layer);
  at::Tensor Cepstra(const at::Tensor& features);
  at::Tensor Filter(const at::Tensor& excitation, const at::Tensor& cepstra);
  at::Tensor Pulses(int samples);

  const int batch_;
  std::map<std::string, at::Tensor> weights_;
  std::vector<at::Tensor> keys_, values_;  // [batch, heads, window, 64]
  at::Tensor cosines_, sines_, feedback_, condition_, window_;
  int position_ = 0;
};

}  // namespace firstbyte

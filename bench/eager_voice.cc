#include "bench/eager_voice.h"

#include <cmath>
#include <numbers>

#include <ATen/ATen.h>

namespace firstbyte {
namespace {

constexpr int kLayers = 4, kHeads = 4, kHeadDim = 64, kWindow = 32, kHidden = 256;

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& gain) {
  return x * at::rsqrt(x.square().mean(-1, true) + 1e-5) * gain;
}

at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cosines, const at::Tensor& sines) {
  at::Tensor a = x.slice(-1, 0, 32), b = x.slice(-1, 32, 64);
  return at::cat({a * cosines - b * sines, b * cosines + a * sines}, -1);
}

}  // namespace

EagerVoice::EagerVoice(const SafeTensors& file, int batch) : batch_(batch) {
  for (const auto& [name, view] : file.tensors()) {
    at::Tensor tensor = at::empty(view.shape, at::kFloat);
    WidenToFloat(view, tensor.data_ptr<float>());
    weights_[name] = tensor;
  }
  for (int i = 0; i < kLayers; ++i) {
    keys_.push_back(at::randn({batch, kHeads, kWindow, kHeadDim}));
    values_.push_back(at::randn({batch, kHeads, kWindow, kHeadDim}));
  }
  at::Tensor angle = at::rand({batch, 1, kHeadDim / 2});
  cosines_ = at::cos(angle);
  sines_ = at::sin(angle);
  feedback_ = at::zeros({batch, 328});
  condition_ = at::randn({batch, kHidden});
  window_ = at::hann_window(160);
}

at::Tensor EagerVoice::Block(const at::Tensor& input, int layer) {
  const std::string p = "acoustic.layers." + std::to_string(layer) + ".";
  at::Tensor x = RmsNorm(input, W(p + "input_layernorm.weight"));
  auto heads = [&](const char* name) {
    return at::linear(x, W(p + "self_attn." + name + ".weight")).view({batch_, kHeads, kHeadDim});
  };
  at::Tensor q = Rotate(heads("q_proj"), cosines_, sines_);
  keys_[layer].select(2, position_ % kWindow).copy_(Rotate(heads("k_proj"), cosines_, sines_));
  values_[layer].select(2, position_ % kWindow).copy_(heads("v_proj"));
  at::Tensor scores = at::matmul(q.unsqueeze(2), keys_[layer].transpose(2, 3)) * 0.125;
  at::Tensor mixed = at::matmul(at::softmax(scores, -1), values_[layer]).view({batch_, kHidden});
  at::Tensor y = input + at::linear(mixed, W(p + "self_attn.o_proj.weight"));
  at::Tensor z = RmsNorm(y, W(p + "post_attention_layernorm.weight"));
  at::Tensor gated = at::silu(at::linear(z, W(p + "mlp.gate_proj.weight"))) *
                     at::linear(z, W(p + "mlp.up_proj.weight"));
  return y + at::linear(gated, W(p + "mlp.down_proj.weight"));
}

void EagerVoice::Generate() {
  at::Tensor down = at::silu(
      at::linear(feedback_, W("acoustic.feedback_down.weight"), W("acoustic.feedback_down.bias")));
  at::Tensor x = condition_ + at::linear(down, W("acoustic.feedback_up.weight"));
  for (int i = 0; i < kLayers; ++i) x = Block(x, i);
  feedback_ = at::linear(RmsNorm(x, W("acoustic.norm.weight")), W("acoustic.head.weight"),
                         W("acoustic.head.bias"));
  ++position_;
}

at::Tensor EagerVoice::Cepstra(const at::Tensor& features) {  // [B, 82, T + 2]
  auto conv = [&](const at::Tensor& x, const std::string& name) {
    return at::conv1d(x, W(name + ".weight"), W(name + ".bias"));
  };
  at::Tensor x = at::silu(conv(features, "vocoder.in_conv"));
  for (int i = 0; i < 3; ++i) {
    const std::string p = "vocoder.layers." + std::to_string(i) + ".";
    auto halves = conv(at::constant_pad_nd(x, {2, 0}), p + "conv").chunk(2, 1);
    x = x + conv(at::tanh(halves[0]) * at::sigmoid(halves[1]), p + "proj");
  }
  x = conv(x, "vocoder.out_proj").transpose(1, 2);  // [B, T, 130]
  return x.reshape({batch_, 2 * x.size(1), 65});
}

at::Tensor EagerVoice::Pulses(int samples) {
  at::Tensor f0 = at::exp(at::full({batch_, samples}, std::log(120.0), at::kDouble));
  at::Tensor phase = at::cumsum(f0 / 16000, 1).remainder(1.0);
  at::Tensor harmonics = at::floor(7680 / f0);
  const double pi = std::numbers::pi;
  at::Tensor ratio = at::sin((2 * harmonics + 1) * pi * phase) / at::sin(pi * phase);
  return ((ratio - 1) / 2 * at::sqrt(2 / harmonics)).to(at::kFloat);
}

at::Tensor EagerVoice::Filter(const at::Tensor& excitation, const at::Tensor& cepstra) {
  const int64_t order = cepstra.size(2);
  at::Tensor phase = at::outer(at::arange(order, at::kFloat), at::linspace(0, 3.14159, 257));
  at::Tensor magnitude = at::exp(at::matmul(cepstra, at::cos(phase)));
  at::Tensor angle = at::matmul(cepstra, -at::sin(phase));
  at::Tensor response = at::complex(magnitude * at::cos(angle), magnitude * at::sin(angle));
  at::Tensor framed = at::constant_pad_nd(excitation, {80, 0}).unfold(1, 160, 80) * window_;
  return at::fft_rfft(framed, 512) * response;
}

void EagerVoice::Decode(int frames) {
  const int mels = 4 * frames;
  at::Tensor cepstra = Cepstra(at::randn({batch_, 82, mels + 2}));
  at::Tensor noise = (at::rand({batch_, 160 * mels}) * 2 - 1) * std::sqrt(3.0);
  at::Tensor total =
      Filter(Pulses(160 * mels), cepstra.slice(2, 0, 40)) + Filter(noise, cepstra.slice(2, 40, 65));
  at::Tensor pieces = at::fft_irfft(total, 512);
  at::col2im(pieces.transpose(1, 2), {1, (pieces.size(1) - 1) * 80 + 512}, {1, 512}, {1, 1}, {0, 0},
             {1, 80});
}

}  // namespace firstbyte

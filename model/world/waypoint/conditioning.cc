#include "model/world/waypoint/conditioning.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/world/waypoint/ops.h"

namespace firstbyte::waypoint {
namespace {

float Rounded(const Config& config, float x) {
  return config.reference_compat ? RoundToBf16(x) : x;
}

// sin, then cos, of 1000 sigma times 256 frequencies from 1 to 1e-4.
std::vector<float> Fourier(const Config& config, float sigma) {
  constexpr int kHalf = kFourierSize / 2;
  std::vector<float> features(kFourierSize);
  for (int i = 0; i < kHalf; ++i) {
    const double frequency = std::pow(1e4, -static_cast<double>(i) / (kHalf - 1));
    const double phase = 1000.0 * sigma * Rounded(config, static_cast<float>(frequency));
    features[i] = static_cast<float>(std::sin(phase) * std::numbers::sqrt2);
    features[kHalf + i] = static_cast<float>(std::cos(phase) * std::numbers::sqrt2);
  }
  return features;
}

std::string HeadName(int layer, int index) {
  return absl::StrCat("transformer.blocks.", layer, index < 3 ? ".attn" : ".mlp",
                      "_cond_head.cond_proj.", index % 3);
}

absl::Status CheckShared(const Config& config, const SafeTensors& file) {
  for (int i = 1; i < config.n_layers; ++i) {
    for (int j = 0; j < kModulations; ++j) {
      auto first = file.tensors().find(HeadName(0, j) + ".weight");
      auto other = file.tensors().find(HeadName(i, j) + ".weight");
      if (first == file.tensors().end() || other == file.tensors().end()) continue;
      if (first->second.bytes == other->second.bytes) continue;
      return Invalid("BAD_WEIGHTS",
                     absl::StrCat("tensor \"", other->first, "\" differs from the first block's"));
    }
  }
  return absl::OkStatus();
}

// The MLP's bias wins over the attention's, which is what the published loader does.
std::vector<float> LoadBias(int layer, int size, nn::WeightLoader* weights) {
  return weights->LoadVector(absl::StrCat("transformer.blocks.", layer, ".mlp_cond_head.bias_in"),
                             size);
}

}  // namespace

std::vector<float> Sigmas(const Config& config) {
  std::vector<float> sigmas;
  for (double s : config.scheduler_sigmas) {
    sigmas.push_back(Rounded(config, static_cast<float>(s)));
  }
  return sigmas;
}

std::vector<float> EulerSteps(const Config& config) {
  const std::vector<float> sigmas = Sigmas(config);
  std::vector<float> steps;
  for (size_t i = 1; i < sigmas.size(); ++i) {
    steps.push_back(Rounded(config, sigmas[i] - sigmas[i - 1]));
  }
  return steps;
}

Conditioning::Conditioning(const Config& config, const SafeTensors& file,
                           const nn::KernelTable& kernels, nn::WeightLoader* weights)
    : n_layers_(config.n_layers), row_(int64_t{kModulations} * config.d_model) {
  Bake(config, kernels, weights);
  weights->Check(CheckShared(config, file));
}

void Conditioning::Bake(const Config& config, const nn::KernelTable& kernels,
                        nn::WeightLoader* weights) {
  const int d = config.d_model, hidden = d * config.mlp_ratio;
  const nn::Linear fc1 =
      weights->LoadLinear("denoise_step_emb.mlp.fc1", hidden, kFourierSize, nn::Bias::kNo);
  const nn::Linear fc2 = weights->LoadLinear("denoise_step_emb.mlp.fc2", d, hidden, nn::Bias::kNo);
  const nn::Linear out = weights->LoadLinear("out_norm.fc", 2 * d, d, nn::Bias::kNo);
  std::vector<std::string> names;
  for (int j = 0; j < kModulations; ++j) names.push_back(HeadName(0, j));
  const nn::Linear heads = weights->LoadStacked(names, d, d);
  std::vector<std::vector<float>> biases;
  for (int i = 0; i < n_layers_; ++i) biases.push_back(LoadBias(i, d, weights));
  if (!weights->status().ok()) return;

  layers_.resize(config.sigmas() * n_layers_ * row_);
  outputs_.resize(config.sigmas() * row_ / 3);
  std::vector<float> wide(hidden), cond(d), x(d);
  float* layer = layers_.data();
  const std::vector<float> sigmas = Sigmas(config);
  for (size_t s = 0; s < sigmas.size(); ++s) {
    fc1.Forward(Fourier(config, sigmas[s]).data(), 1, wide.data(), nn::Epilogue::kSilu);
    fc2.Forward(wide.data(), 1, cond.data());
    for (float& c : cond) c = Rounded(config, c);
    for (int i = 0; i < n_layers_; ++i, layer += row_) {
      std::transform(cond.begin(), cond.end(), biases[i].begin(), x.begin(), std::plus<>());
      Silu(kernels, d, x.data());
      heads.Forward(x.data(), 1, layer);
    }
    x = cond;
    Silu(kernels, d, x.data());
    out.Forward(x.data(), 1, outputs_.data() + s * row_ / 3);
  }
}

}  // namespace firstbyte::waypoint

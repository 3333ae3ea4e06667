#include "model/nn/weight_loader.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace firstbyte::nn {

std::vector<float> WeightLoader::Read(const std::string& tensor,
                                      const std::vector<int64_t>& shape) {
  if (!status_.ok()) return {};
  absl::StatusOr<std::vector<float>> values = file_.Floats(tensor, shape);
  if (!values.ok()) {
    status_ = values.status();
    return {};
  }
  if (!std::all_of(values->begin(), values->end(), [](float v) { return std::isfinite(v); })) {
    status_ = Invalid("BAD_WEIGHTS",
                      absl::StrCat("tensor \"", tensor, "\" holds values that are not finite"));
    return {};
  }
  return *std::move(values);
}

Linear WeightLoader::LoadLinear(const std::string& name, int n, int k, Bias bias) {
  std::vector<float> weight = Read(name + ".weight", {n, k}), offsets;
  if (bias == Bias::kYes) offsets = Read(name + ".bias", {n});
  return status_.ok() ? Linear(kernels_, weight, offsets, n, k) : Linear();
}

Linear WeightLoader::LoadStacked(const std::vector<std::string>& names, int n, int k) {
  std::vector<float> stacked;
  for (const std::string& name : names) {
    std::vector<float> weight = Read(name + ".weight", {n, k});
    stacked.insert(stacked.end(), weight.begin(), weight.end());
  }
  if (!status_.ok()) return {};
  return Linear(kernels_, stacked, {}, n * static_cast<int>(names.size()), k);
}

Linear WeightLoader::LoadPointwise(const std::string& name, int n, int channels) {
  std::vector<float> weight = Read(name + ".weight", {n, channels, 1});
  std::vector<float> bias = Read(name + ".bias", {n});
  return status_.ok() ? Linear(kernels_, weight, bias, n, channels) : Linear();
}

CausalConv WeightLoader::LoadConv(const std::string& name, int n, int channels) {
  std::vector<float> weight = Read(name + ".weight", {n, channels, CausalConv::kTaps});
  std::vector<float> bias = Read(name + ".bias", {n});
  return status_.ok() ? CausalConv(kernels_, weight, bias, n, channels) : CausalConv();
}

WeightLoader::Outputs WeightLoader::LoadShuffled(const std::string& name,
                                                 const std::vector<int64_t>& shape, int shuffle) {
  std::vector<float> weight = Read(name + ".weight", shape);
  std::vector<float> bias = Read(name + ".bias", {shape[0]});
  if (!status_.ok()) return {};
  const int64_t n = shape[0], row = static_cast<int64_t>(weight.size()) / n;
  const int64_t places = int64_t{shuffle} * shuffle;
  Outputs ordered{std::vector<float>(weight.size()), std::vector<float>(bias.size())};
  for (int64_t i = 0; i < n; ++i) {
    const int64_t to = i % places * (n / places) + i / places;
    std::copy_n(&weight[i * row], row, &ordered.weight[to * row]);
    ordered.bias[to] = bias[i];
  }
  return ordered;
}

Conv3x3 WeightLoader::LoadConv3x3(const std::string& name, int n, int channels, int shuffle) {
  Outputs ordered = LoadShuffled(name, {n, channels, 3, 3}, shuffle);
  return status_.ok() ? Conv3x3(kernels_, ordered.weight, ordered.bias, n, channels) : Conv3x3();
}

WinogradConv WeightLoader::LoadWinogradConv(const std::string& name, int n, int channels,
                                            int shuffle) {
  Outputs ordered = LoadShuffled(name, {n, channels, 3, 3}, shuffle);
  return status_.ok() ? WinogradConv(kernels_, ordered.weight, ordered.bias, n, channels)
                      : WinogradConv();
}

Linear WeightLoader::LoadConv1x1(const std::string& name, int n, int channels, int shuffle) {
  Outputs ordered = LoadShuffled(name, {n, channels, 1, 1}, shuffle);
  return status_.ok() ? Linear(kernels_, ordered.weight, ordered.bias, n, channels) : Linear();
}

MapNorm WeightLoader::LoadMapNorm(const std::string& name, int channels, float epsilon) {
  std::vector<float> gain = Read(name + ".weight", {channels});
  std::vector<float> bias = Read(name + ".bias", {channels});
  return status_.ok() ? MapNorm(kernels_, gain, bias, epsilon) : MapNorm();
}

RmsNorm WeightLoader::LoadRmsNorm(const std::string& name, int size, float epsilon) {
  std::vector<float> gain = Read(name + ".weight", {size});
  return status_.ok() ? RmsNorm(kernels_, gain, epsilon) : RmsNorm();
}

Embedding WeightLoader::LoadEmbedding(const std::string& name, int rows, int size) {
  std::vector<float> table = Read(name + ".weight", {rows, size});
  return status_.ok() ? Embedding(table, rows, size) : Embedding();
}

std::vector<float> WeightLoader::LoadVector(const std::string& tensor, int size) {
  return Read(tensor, {size});
}

}  // namespace firstbyte::nn

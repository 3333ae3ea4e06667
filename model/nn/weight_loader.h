// Reads layers out of a weights file by name.
//
// The first problem (a missing tensor, a wrong shape, a value that is not finite) is kept, later
// calls then return empty layers, and status() is checked once at the end. Not thread-safe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "model/io/safetensors.h"
#include "model/nn/layers.h"
#include "model/nn/map_layers.h"

namespace firstbyte::nn {

enum class Bias { kNo, kYes };

class WeightLoader {
 public:
  // Both must outlive the loader; `kernels` also the layers.
  WeightLoader(const SafeTensors& file, const KernelTable& kernels)
      : file_(file), kernels_(kernels) {}

  // `<name>.weight` [n, k] and `<name>.bias` [n].
  Linear LoadLinear(const std::string& name, int n, int k, Bias bias);
  // Several bias-free layers on the same input as one: weights [n, k] each, stacked in order.
  Linear LoadStacked(const std::vector<std::string>& names, int n, int k);
  // `<name>.weight` [n, channels, 1]: a convolution that sees one position.
  Linear LoadPointwise(const std::string& name, int n, int channels);
  // `<name>.weight` [n, channels, 1, 1], the same on maps. `shuffle` as for LoadConv3x3.
  Linear LoadConv1x1(const std::string& name, int n, int channels, int shuffle = 1);
  // `<name>.weight` [n, channels, 3] and bias.
  CausalConv LoadConv(const std::string& name, int n, int channels);
  // `<name>.weight` [n, channels, 3, 3] and bias. shuffle r > 1: outputs are put in the order in
  // which a PixelShuffle of r can copy them, [r, r, n / r^2] instead of [n / r^2, r, r].
  Conv3x3 LoadConv3x3(const std::string& name, int n, int channels, int shuffle = 1);
  WinogradConv LoadWinogradConv(const std::string& name, int n, int channels, int shuffle = 1);
  MapNorm LoadMapNorm(const std::string& name, int channels, float epsilon);
  RmsNorm LoadRmsNorm(const std::string& name, int size, float epsilon);
  Embedding LoadEmbedding(const std::string& name, int rows, int size);
  std::vector<float> LoadVector(const std::string& tensor, int size);
  // `tensor` as it is, for layers that are made of it elsewhere; empty after a problem.
  std::vector<float> LoadTensor(const std::string& tensor, const std::vector<int64_t>& shape) {
    return Read(tensor, shape);
  }
  // Weight of `shape` and bias as LoadConv3x3 orders their outputs, likewise.
  struct Outputs {
    std::vector<float> weight, bias;
  };
  Outputs LoadShuffled(const std::string& name, const std::vector<int64_t>& shape, int shuffle);

  // A check of the caller's own, kept like the loader's.
  void Check(absl::Status status) { status_.Update(std::move(status)); }
  const absl::Status& status() const { return status_; }

 private:
  // Empty when anything was wrong, now or before.
  std::vector<float> Read(const std::string& tensor, const std::vector<int64_t>& shape);

  const SafeTensors& file_;
  const KernelTable& kernels_;
  absl::Status status_;
};

}  // namespace firstbyte::nn

// The number of channels that a layer of the autoencoder makes, read from its weights' shape.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/nn/weight_loader.h"

namespace firstbyte::waypoint {

// Of `<layer>.weight` [n, channels, 3, 3]; 1, and a problem noted, when there is no such tensor.
inline int WidthOf(const std::string& layer, const SafeTensors& file, nn::WeightLoader* weights) {
  constexpr int kMostChannels = 4096;
  const std::string tensor = layer + ".weight";
  auto found = file.tensors().find(tensor);
  if (found != file.tensors().end() && found->second.shape.size() == 4) {
    const int64_t n = found->second.shape[0];
    if (n >= 1 && n <= kMostChannels) return static_cast<int>(n);
  }
  weights->Check(Error(absl::StatusCode::kInvalidArgument, "BAD_WEIGHTS",
                       absl::StrCat("tensor \"", tensor, "\" is missing or is no convolution")));
  return 1;
}

}  // namespace firstbyte::waypoint

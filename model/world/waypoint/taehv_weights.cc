#include "model/world/waypoint/taehv_weights.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "model/world/waypoint/widths.h"

namespace firstbyte::waypoint {

std::string DecoderLayer(int layer) { return absl::StrCat("decoder.", layer); }

std::array<int, kDecoderStages + 1> DecoderWidths(const SafeTensors& file,
                                                  nn::WeightLoader* weights) {
  std::array<int, kDecoderStages + 1> widths = {WidthOf(DecoderLayer(kDecoderIn), file, weights)};
  for (int s = 0; s < kDecoderStages; ++s) {
    widths[s + 1] = WidthOf(DecoderLayer(FirstOfStage(s) + 5), file, weights);
  }
  return widths;
}

// A published file may hold rows for more frames than version 1.5 shows; the last are the right
// ones.
std::vector<float> LoadGrow(int stage, int channels, const SafeTensors& file,
                            nn::WeightLoader* weights) {
  constexpr int64_t kMostFrames = 4;
  const int64_t n = int64_t{kDecoderStrides[stage]} * channels;
  const std::string tensor = DecoderLayer(FirstOfStage(stage) + 4) + ".conv.weight";
  auto found = file.tensors().find(tensor);
  int64_t rows = n;
  if (found != file.tensors().end() && !found->second.shape.empty()) {
    rows = std::clamp<int64_t>(found->second.shape[0], n, kMostFrames * channels);
  }
  std::vector<float> weight = weights->LoadTensor(tensor, {rows, channels, 1, 1});
  if (!weights->status().ok()) return {};
  weight.erase(weight.begin(), weight.end() - n * channels);
  return weight;
}

}  // namespace firstbyte::waypoint

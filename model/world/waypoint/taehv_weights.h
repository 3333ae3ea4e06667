// The decoder's layers as taehv1_5.safetensors stores them, and the patches that pictures are cut
// in.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "model/nn/weight_loader.h"

namespace firstbyte::waypoint {

inline constexpr int kPatch = 2;  // pixels of a picture in a pixel of the last map
inline constexpr int kPatchChannels = 3 * kPatch * kPatch;
inline constexpr int kDecoderStages = 3;
inline constexpr int kDecoderStrides[kDecoderStages] = {1, 2, 2};  // frames that one becomes

// Layers are numbered as in the published module list. Those of a stage are 3 memory blocks,
// upsampling, growing and a convolution.
inline constexpr int kDecoderIn = 1, kDecoderOut = 22;
constexpr int FirstOfStage(int stage) { return 3 + 6 * stage; }
std::string DecoderLayer(int layer);

// Channels of each stage's maps and of the last.
std::array<int, kDecoderStages + 1> DecoderWidths(const SafeTensors& file,
                                                  nn::WeightLoader* weights);
// [stride * channels, channels] of a stage's growing; empty when it is missing.
std::vector<float> LoadGrow(int stage, int channels, const SafeTensors& file,
                            nn::WeightLoader* weights);

}  // namespace firstbyte::waypoint

// Pictures and sound of frames from their codes, and the latents of a picture.
//
// Latents are whitened, in token order: [16 (4 rows of 4), channels]. Immutable; thread-safe on
// distinct buffers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "model/nn/weight_loader.h"
#include "model/world/state_dit/config.h"

namespace firstbyte::state_dit {

inline constexpr float kMapEpsilon = 1e-5f;  // PyTorch's default, which the training used
inline constexpr int kPatch = 4;  // a pixel of the 16 x 16 maps is a patch of the picture

// Maps of one size, and what a residual block needs beside them.
struct MapBuffers {
  MapBuffers(int maps, int side, int channels);
  int side, channels;
  nn::Tensor x;               // [maps, side, side, channels]
  nn::Tensor normed, hidden;  // in borders of zeros
  nn::Tensor scratch;         // of the convolutions
};

// x + conv(silu(conv(norm(x)))), for maps of even sides.
class ResidualBlock {
 public:
  ResidualBlock() = default;
  ResidualBlock(const std::string& name, int channels, nn::WeightLoader* weights);

  void Run(int maps, MapBuffers* buffers) const;  // on buffers->x, in place

 private:
  nn::MapNorm norm_;
  nn::WinogradConv conv1_, conv2_;
};

// How latents were whitened: (x - mean) / std, by channel.
struct Whitening {
  Whitening() = default;
  Whitening(const Config& config, nn::WeightLoader* weights);
  std::vector<float> mean, std;
};

class Decoder {
 public:
  struct Buffers {
    Buffers(const Config& config, int max_maps);
    nn::Tensor latents;  // [maps, 4, 4, channels] in borders of zeros
    MapBuffers at4, at8, at16;
    nn::Tensor shuffled, pixels;
  };

  Decoder() = default;
  Decoder(const Config& config, const nn::KernelTable& kernels, nn::WeightLoader* weights);

  // latents: [16, channels] of each picture. pixels [64, 64, 3], nominally in [0, 1], are left in
  // buffers->pixels, picture by picture.
  void Run(absl::Span<const float* const> latents, Buffers* buffers) const;

 private:
  const nn::KernelTable* kernels_ = nullptr;
  Whitening whitening_;
  nn::Conv3x3 in_, out_;
  nn::Linear up8_, up16_;
  ResidualBlock block4_, block8a_, block8b_, block16a_, block16b_;
};

// For seed pictures only.
class Encoder {
 public:
  Encoder() = default;
  Encoder(const Config& config, nn::WeightLoader* weights);

  // pixels [64, 64, 3] in [0, 1] -> latents [16, channels]
  std::vector<float> Run(const std::vector<float>& pixels) const;

 private:
  Config config_{};
  Whitening whitening_;
  nn::Conv3x3 in_;
  nn::Linear down8_, down4_, out_;
  ResidualBlock block16_, block8_, block4_;
};

// Sound from its code: principal components.
class AudioCode {
 public:
  AudioCode() = default;
  AudioCode(const Config& config, const nn::KernelTable& kernels, nn::WeightLoader* weights);

  // code [audio_channels] -> samples [samples_per_frame]
  void Decode(const float* code, float* samples) const { basis_.Forward(code, 1, samples); }

 private:
  nn::Linear basis_;
};

// To 8 bits, out of range to the nearest.
void ToBytes(const float* values, int64_t count, uint8_t* bytes);

}  // namespace firstbyte::state_dit

// Feature maps of the autoencoder, [height, width, channels], and the block that looks back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/nn/weight_loader.h"

namespace firstbyte::waypoint {

struct MapSize {
  int height = 0, width = 0, channels = 0;
  int64_t pixels() const { return int64_t{height} * width; }
  int64_t floats() const { return pixels() * channels; }
  int64_t bordered_floats() const { return int64_t{height + 2} * (width + 2) * channels; }
};

// Channels [0, size.channels) of pixels that lie `stride` floats apart.
struct MapView {
  const float* x;
  MapSize size;
  int stride;
};

// Writes a view, every pixel `scale` x `scale` times, into channels [first, first + its channels)
// of a map in a border of zeros, [scale * height + 2, scale * width + 2, channels].
void PutInBorder(const MapView& view, int scale, int first, int channels, float* out);

// Workspace for maps of at most `floats` floats in their border.
struct MapBuffers {
  explicit MapBuffers(int64_t floats) : bordered(floats), made(floats) {}
  std::vector<float> bordered, made;
};

// `<name>.weight` [n, channels, 3, 3] and, unless kNo, `<name>.bias` [n].
nn::Conv3x3 LoadConv3x3(const std::string& name, int n, int channels, nn::Bias bias,
                        const nn::KernelTable& kernels, nn::WeightLoader* weights);
// `<name>.weight` [n, channels, 1, 1].
nn::Linear LoadConv1x1(const std::string& name, int n, int channels, const nn::KernelTable& kernels,
                       nn::WeightLoader* weights);

enum class Activation { kNone, kRelu };
// y = activation(conv(x upscaled by `scale`)); y may be buffers->made.
void Convolve(const nn::Conv3x3& conv, const MapView& x, int scale, Activation activation,
              MapBuffers* buffers, float* y);

// y = relu(conv3(relu(conv2(relu(conv1([x, x of the frame before]))))) + x)
class MemoryBlock {
 public:
  MemoryBlock() = default;
  MemoryBlock(const std::string& name, int channels, const nn::KernelTable& kernels,
              nn::WeightLoader* weights);

  // x, y [frames, height, width, channels]; `before` [height, width, channels]: the last x of the
  // stream, zeros at its start; updated.
  void Run(const MapSize& size, const float* x, int frames, float* before, MapBuffers* buffers,
           float* y) const;

 private:
  nn::Conv3x3 convs_[3];
};

}  // namespace firstbyte::waypoint

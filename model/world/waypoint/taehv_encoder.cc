#include <algorithm>

#include "absl/strings/str_cat.h"
#include "model/world/waypoint/taehv.h"
#include "model/world/waypoint/widths.h"

namespace firstbyte::waypoint {
namespace {

constexpr int kStrides[] = {2, 2, 1};

// Layers are numbered as in the published module list: pooling, conv, 3 memory blocks.
int FirstOf(int stage) { return 2 + 5 * stage; }
std::string Name(int layer) { return absl::StrCat("encoder.", layer); }

// picture [2 height, 2 width, 3] -> [height, width, 12]
std::vector<float> Folded(const float* picture, const MapSize& size) {
  std::vector<float> out(size.floats());
  float* to = out.data();
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      for (int i = 0; i < kPatchChannels; ++i) {
        const int c = i / (kPatch * kPatch), dy = i / kPatch % kPatch, dx = i % kPatch;
        *to++ = picture[(int64_t{y * kPatch + dy} * size.width * kPatch + x * kPatch + dx) * 3 + c];
      }
    }
  }
  return out;
}

// `stride` frames side by side in the channels.
std::vector<float> Joined(const float* frames, const MapSize& size, int stride) {
  std::vector<float> out(size.floats() * stride);
  for (int i = 0; i < stride; ++i) {
    for (int64_t p = 0; p < size.pixels(); ++p) {
      std::copy_n(frames + i * size.floats() + p * size.channels, size.channels,
                  out.data() + (p * stride + i) * size.channels);
    }
  }
  return out;
}

// Every second pixel of every second line: what a stride of 2 keeps.
void Halve(const float* x, const MapSize& size, float* y) {
  for (int line = 0; line < size.height; line += 2) {
    for (int p = 0; p < size.width; p += 2, y += size.channels) {
      std::copy_n(x + (int64_t{line} * size.width + p) * size.channels, size.channels, y);
    }
  }
}

}  // namespace

TaehvEncoder::TaehvEncoder(const Config& config, const SafeTensors& file,
                           const nn::KernelTable& kernels, nn::WeightLoader* weights)
    : size_{config.latent_height(), config.latent_width(), config.channels},
      width_(WidthOf(Name(0), file, weights)) {
  conv_in_ = LoadConv3x3(Name(0), width_, kPatchChannels, nn::Bias::kYes, kernels, weights);
  for (int s = 0; s < 3; ++s) {
    Stage& stage = stages_[s];
    stage.stride = kStrides[s];
    stage.pool =
        LoadConv1x1(Name(FirstOf(s)) + ".conv", width_, width_ * stage.stride, kernels, weights);
    stage.conv = LoadConv3x3(Name(FirstOf(s) + 1), width_, width_, nn::Bias::kNo, kernels, weights);
    for (int j = 0; j < 3; ++j) {
      stage.blocks[j] = MemoryBlock(Name(FirstOf(s) + 2 + j), width_, kernels, weights);
    }
  }
  conv_out_ = LoadConv3x3(Name(17), size_.channels, width_, nn::Bias::kYes, kernels, weights);
}

void TaehvEncoder::Run(const float* picture, float* latent) const {
  MapSize size = {8 * size_.height, 8 * size_.width, width_};
  const MapSize most = {size.height, size.width, std::max(2 * width_, kPatchChannels)};
  MapBuffers buffers(most.bordered_floats());
  int count = kFramesPerLatent;
  std::vector<float> frames(count * size.floats()), next(frames.size()), pooled(size.floats());
  const MapSize folded = {size.height, size.width, kPatchChannels};
  Convolve(conv_in_, {Folded(picture, folded).data(), folded, kPatchChannels}, 1, Activation::kRelu,
           &buffers, frames.data());
  for (int i = 1; i < count; ++i) {
    std::copy_n(frames.data(), size.floats(), frames.data() + i * size.floats());
  }
  for (const Stage& stage : stages_) {
    count /= stage.stride;
    const MapSize half = {size.height / 2, size.width / 2, width_};
    for (int i = 0; i < count; ++i) {
      const float* from = frames.data() + int64_t{i} * stage.stride * size.floats();
      stage.pool.Forward(Joined(from, size, stage.stride).data(), static_cast<int>(size.pixels()),
                         pooled.data());
      Convolve(stage.conv, {pooled.data(), size, width_}, 1, Activation::kNone, &buffers,
               buffers.made.data());
      Halve(buffers.made.data(), size, next.data() + i * half.floats());
    }
    frames.swap(next);
    size = half;
    for (const MemoryBlock& block : stage.blocks) {
      std::vector<float> nothing(size.floats());
      block.Run(size, frames.data(), count, nothing.data(), &buffers, next.data());
      frames.swap(next);
    }
  }
  Convolve(conv_out_, {frames.data(), size, width_}, 1, Activation::kNone, &buffers, latent);
}

}  // namespace firstbyte::waypoint

#include "model/world/waypoint/maps.h"

#include <algorithm>

#include "model/world/waypoint/ops.h"

namespace firstbyte::waypoint {
namespace {

void ClearBorder(int height, int width, int channels, float* out) {
  const int64_t line = int64_t{width + 2} * channels;
  std::fill_n(out, line, 0.0f);
  for (int y = 1; y <= height; ++y) {
    std::fill_n(out + y * line, channels, 0.0f);
    std::fill_n(out + (y + 1) * line - channels, channels, 0.0f);
  }
  std::fill_n(out + (height + 1) * line, line, 0.0f);
}

MapView Whole(const float* x, const MapSize& size) { return {x, size, size.channels}; }

}  // namespace

void PutInBorder(const MapView& view, int scale, int first, int channels, float* out) {
  const int height = view.size.height * scale, width = view.size.width * scale;
  ClearBorder(height, width, channels, out);
  for (int y = 0; y < height; ++y) {
    const float* line = view.x + int64_t{y / scale} * view.size.width * view.stride;
    float* to = out + (int64_t{y + 1} * (width + 2) + 1) * channels + first;
    for (int x = 0; x < width; ++x, to += channels) {
      std::copy_n(line + int64_t{x / scale} * view.stride, view.size.channels, to);
    }
  }
}

nn::Conv3x3 LoadConv3x3(const std::string& name, int n, int channels, nn::Bias bias,
                        const nn::KernelTable& kernels, nn::WeightLoader* weights) {
  const std::vector<float> weight = weights->LoadTensor(name + ".weight", {n, channels, 3, 3});
  std::vector<float> offsets;
  if (bias == nn::Bias::kYes) offsets = weights->LoadVector(name + ".bias", n);
  if (!weights->status().ok()) return {};
  return nn::Conv3x3(kernels, weight, offsets, n, channels);
}

nn::Linear LoadConv1x1(const std::string& name, int n, int channels, const nn::KernelTable& kernels,
                       nn::WeightLoader* weights) {
  const std::vector<float> weight = weights->LoadTensor(name + ".weight", {n, channels, 1, 1});
  if (!weights->status().ok()) return {};
  return nn::Linear(kernels, weight, {}, n, channels);
}

void Convolve(const nn::Conv3x3& conv, const MapView& x, int scale, Activation activation,
              MapBuffers* buffers, float* y) {
  const int height = x.size.height * scale, width = x.size.width * scale;
  PutInBorder(x, scale, 0, x.size.channels, buffers->bordered.data());
  conv.Forward(buffers->bordered.data(), 1, height, width, y);
  if (activation == Activation::kRelu) Relu(int64_t{height} * width * conv.outputs(), y);
}

MemoryBlock::MemoryBlock(const std::string& name, int channels, const nn::KernelTable& kernels,
                         nn::WeightLoader* weights) {
  for (int i = 0; i < 3; ++i) {
    convs_[i] = LoadConv3x3(name + ".conv." + std::to_string(2 * i), channels,
                            i == 0 ? 2 * channels : channels, nn::Bias::kYes, kernels, weights);
  }
}

void MemoryBlock::Run(const MapSize& size, const float* x, int frames, float* before,
                      MapBuffers* buffers, float* y) const {
  const int n = size.channels;
  const float* past = before;
  float *bordered = buffers->bordered.data(), *made = buffers->made.data();
  for (int i = 0; i < frames; ++i, x += size.floats(), y += size.floats()) {
    PutInBorder(Whole(x, size), 1, 0, 2 * n, bordered);
    PutInBorder(Whole(past, size), 1, n, 2 * n, bordered);
    convs_[0].Forward(bordered, 1, size.height, size.width, made);
    Relu(size.floats(), made);
    Convolve(convs_[1], Whole(made, size), 1, Activation::kRelu, buffers, made);
    Convolve(convs_[2], Whole(made, size), 1, Activation::kNone, buffers, y);
    for (int64_t j = 0; j < size.floats(); ++j) y[j] += x[j];
    Relu(size.floats(), y);
    past = x;
  }
  std::copy_n(past, size.floats(), before);
}

}  // namespace firstbyte::waypoint

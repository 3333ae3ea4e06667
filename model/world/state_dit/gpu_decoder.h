// Pictures of frames from their codes on a GPU: the decoder of autoencoder.h, within rounding.
//
// It works on Queue::kMedia, where the next frame's passes leave room. Used by its lane's thread
// only; errors are those of cuda/gpu.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cuda/gpu_maps.h"
#include "model/cuda/gpu_stage.h"
#include "model/world/state_dit/autoencoder.h"

namespace firstbyte::state_dit {

constexpr int64_t kPixels = int64_t{3} * kPicture * kPicture;  // floats of a picture

class GpuDecoder {
 public:
  struct Size {
    int max_batch;
    cuda::GraphMode mode = cuda::GraphMode::kGraphs;
    cuda::Number number = cuda::Number::kF32;  // of products; or kTf32
  };
  struct Picture {
    int slot;              // of its session; no two of a batch share one
    const float* latents;  // [16, channels], whitened
    float* pixels;         // [64, 64, 3], nominally in [0, 1]: what is made
  };

  // Copies the weights, allocates all maps and records the graphs. `gpu` outlives the decoder. The
  // weights' own errors are in weights->status().
  static absl::StatusOr<std::unique_ptr<GpuDecoder>> Create(cuda::Gpu* gpu, const Config& config,
                                                            nn::WeightLoader* weights,
                                                            const Size& size);

  // Starts to decode; at most two batches are under way. Latents are read before it returns.
  absl::StatusOr<Ticket> Decode(absl::Span<const Picture> pictures);
  // Waits for the batch, of the pictures it was given, and writes their pixels.
  absl::Status Finish(Ticket ticket, absl::Span<const Picture> pictures);

 private:
  // x + conv(silu(conv(norm(x))))
  struct Block {
    cuda::GpuMapNorm norm;
    cuda::GpuConv3x3 conv1, conv2;
  };
  // Maps of one size: [max_batch, side, side] of channels, Padded() apart.
  struct Level {
    int side, channels;
    cuda::DeviceArray<float> x, normed, hidden;
  };

  GpuDecoder(cuda::Gpu* gpu, const Config& config, nn::WeightLoader* weights, const Size& size);
  absl::Status Load(nn::WeightLoader* weights);
  absl::Status LoadConv(nn::WeightLoader* weights, const std::string& name, int shuffle,
                        cuda::GpuConv3x3::Shape shape, cuda::GpuConv3x3* conv) const;
  absl::Status LoadUp(nn::WeightLoader* weights, const std::string& name, const Level& from,
                      const Level& to, cuda::GpuLinear* up) const;
  absl::Status LoadBlock(nn::WeightLoader* weights, const std::string& name, const Level& level,
                         Block* block) const;
  absl::Status Allocate();
  absl::Status OpenStage();

  void Fill(absl::Span<const Picture> pictures, char* inputs) const;
  absl::Status Body(const cuda::GpuStage::Step& step);
  absl::Status Run(const Block& block, const cuda::GpuStage::Step& step, Level* level);
  absl::Status Up(const cuda::GpuLinear& up, const cuda::GpuStage::Step& step, const Level& from,
                  Level* to);
  absl::Status Shuffle(const cuda::GpuStage::Step& step, const cuda::ShuffleStep<float>& shuffle);

  cuda::Gpu* const gpu_;
  const Size size_;
  const int latent_channels_;
  const Whitening whitening_;
  Level at4_, at8_, at16_;
  cuda::GpuConv3x3 in_, out_;
  cuda::GpuLinear up8_, up16_;
  Block block4_, block8a_, block8b_, block16a_, block16b_;
  cuda::DeviceArray<float> taps_, packed_;  // of a convolution; before a shuffle
  std::unique_ptr<cuda::GpuStage> stage_;   // goes first
};

}  // namespace firstbyte::state_dit

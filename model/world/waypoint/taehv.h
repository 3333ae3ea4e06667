// TAEHV, the small autoencoder of videos: latents to pictures, and a picture to a latent.
//
// After madebyollin/taehv (MIT), as its version 1.5: a latent frame becomes four pictures of 16
// times its width and height. Convolutions, ReLU and "memory blocks" that also see the frame
// before, so that a stream is decoded frame by frame with nine maps of history and no seam. Widths
// are read from the shapes of the tensors. Maps are [height, width, channels].
#pragma once

#include <cstdint>
#include <vector>

#include "model/world/waypoint/config.h"
#include "model/world/waypoint/maps.h"
#include "model/world/waypoint/taehv_weights.h"

namespace firstbyte::waypoint {

// Immutable, so thread-safe on distinct buffers and histories.
class TaehvDecoder {
 public:
  static constexpr int kStages = kDecoderStages;
  static constexpr int kPrimingFeeds = 3;  // of a stream's first latent, whose pictures are dropped

  struct Buffers {
    explicit Buffers(const TaehvDecoder& decoder);
    MapBuffers maps;
    std::vector<float> frames, next, grown;
  };

  TaehvDecoder() = default;
  TaehvDecoder(const Config& config, const SafeTensors& file, const nn::KernelTable& kernels,
               nn::WeightLoader* weights);

  int64_t history_floats() const { return history_floats_; }

  // latent [height, width, channels] -> pictures [4, 16 height, 16 width, 3] in [0, 1]. `history`
  // [history_floats()] is the stream's, zeros at its start; updated.
  void Run(const float* latent, float* history, Buffers* buffers, float* pictures) const;

 private:
  struct Stage {
    MapSize size;    // of the maps that the memory blocks see
    int frames = 1;  // that many of them for one latent
    int stride = 1;  // frames that one becomes
    MemoryBlock blocks[3];
    nn::Linear grow;   // to stride * channels
    nn::Conv3x3 conv;  // after doubling, to the next stage's channels
  };

  void RunStage(const Stage& stage, float* history, Buffers* buffers) const;
  void Show(const float* map, Buffers* buffers, float* picture) const;
  MapSize last() const { return {8 * size_.height, 8 * size_.width, conv_out_.inputs()}; }

  const nn::KernelTable* kernels_ = nullptr;
  MapSize size_;  // of a latent
  int64_t history_floats_ = 0, largest_ = 0;
  nn::Conv3x3 conv_in_, conv_out_;
  Stage stages_[kStages];
};

class TaehvEncoder {
 public:
  TaehvEncoder() = default;
  TaehvEncoder(const Config& config, const SafeTensors& file, const nn::KernelTable& kernels,
               nn::WeightLoader* weights);

  // picture [16 height, 16 width, 3] in [0, 1], shown for four frames -> latent [height, width,
  // channels]. Allocates its workspace: a session has at most one.
  void Run(const float* picture, float* latent) const;

 private:
  struct Stage {
    int stride = 1;    // frames that become one
    nn::Linear pool;   // from stride * width channels
    nn::Conv3x3 conv;  // every second pixel of it
    MemoryBlock blocks[3];
  };

  MapSize size_;  // of a latent
  int width_ = 0;
  nn::Conv3x3 conv_in_, conv_out_;
  Stage stages_[3];
};

}  // namespace firstbyte::waypoint

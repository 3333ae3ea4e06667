// Frames to samples: a causal network that reads one mel frame ahead, and the source-filter below
// it.
//
// Exactly incremental: state carries everything across calls, so that frames decoded one by one, in
// chunks, alone or beside other streams give the same samples. A stream of T mel frames gives
// 160 T samples; until Flush the last 10 ms + 5 ms are held back.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "model/nn/weight_loader.h"
#include "model/speech/aligned_mel/config.h"
#include "model/speech/aligned_mel/source_filter.h"

namespace firstbyte::aligned_mel {

// Statistics that the features were z-scored with; the vocoder needs those of log F0.
struct PitchScale {
  float mean = 0, std = 1;
};

// One stream's memory, about 12 kB. Made by Vocoder::NewState().
struct VocoderState {
  uint64_t seed = 0;
  bool holding = false;  // a mel frame waits for its successor
  float held[kFeatures] = {};
  std::vector<float> tails;  // of every convolution
  SourceFilterState source;
};

// One stream's part in a decode.
struct DecodeRow {
  static constexpr int kMaxFrames = 16;
  VocoderState* state;
  std::array<const float*, kMaxFrames> frames;  // [kFrameFeatures] each, z-scored
  int count;                                    // <= kMaxFrames
  bool flush;                                   // these are the stream's last frames
  std::vector<float>* output;                   // samples are appended
};

// Immutable weights; thread-safe on distinct buffers and states.
class Vocoder {
 public:
  // The work memory, made once for a lane.
  struct Buffers {
    explicit Buffers(const Vocoder& vocoder);
    nn::Tensor input, hidden, gates, gated, cepstra;  // [kMaxRows, ...]
    nn::CausalConv::Scratch conv;
    std::vector<int> blanks;             // rows of no mel frame: zeros in every layer
    std::vector<Excitation> excitation;  // of the others
    std::vector<FilterRow> rows;
    std::vector<nn::ConvSegment> segments;
    SourceFilter::Buffers filter;
  };

  Vocoder() = default;
  Vocoder(const VocoderConfig& config, PitchScale pitch, const nn::KernelTable& kernels,
          nn::WeightLoader* weights);

  VocoderState NewState(uint64_t seed) const;

  void Decode(absl::Span<const DecodeRow> rows, Buffers* buffers) const;

 private:
  // Frames in one pass of the network: enough to fill its tiles, small enough for the cache.
  static constexpr int kMaxTiles = 64, kMaxRows = kMaxTiles * kStack;

  struct Layer {
    nn::CausalConv conv;
    nn::Linear proj;
  };

  void Stage(const DecodeRow& row, int at, Buffers* buffers) const;
  void StageHeld(const float* input, const DecodeRow& row, int at, Buffers* buffers) const;
  void Blank(Buffers* buffers, const nn::Tensor& rows, int width) const;
  void RunNetwork(absl::Span<const DecodeRow> rows, int count, Buffers* buffers) const;
  void Convolve(const nn::CausalConv& conv, absl::Span<const DecodeRow> rows, int64_t tail,
                const float* x, float* y, nn::Epilogue epilogue, Buffers* buffers) const;
  void DecodeGroup(absl::Span<const DecodeRow> rows, Buffers* buffers) const;

  const nn::KernelTable* kernels_ = nullptr;
  VocoderConfig config_{};
  PitchScale pitch_;
  nn::CausalConv in_conv_;
  std::vector<Layer> layers_;
  nn::Linear out_;
  SourceFilter source_filter_;
};

}  // namespace firstbyte::aligned_mel

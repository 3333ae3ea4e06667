// Frames to samples: a causal network that reads one mel frame ahead, and the source-filter below
// it.
//
// Exactly incremental: state carries everything across calls, so that frames decoded one by one, in
// chunks, alone or beside other streams give the same samples. A stream of T mel frames gives
// 160 T samples; until Flush the last 10 ms + 5 ms are held back.
#pragma once

#include <algorithm>
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
  int64_t spoken = 0;    // mel frames
  bool holding = false;  // another waits for its successor
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
  int slot = 0;                                 // whose memory, on a device
};

// Brings `row`'s mel frames to its stream, one after another. A mel frame becomes speech when its
// successor arrives, which is the network's input: place(input) is called, and the state still
// holds the one that is spoken; place(nullptr) for a stream's first, when there is none.
template <typename Place>
void EachMel(const DecodeRow& row, Place place) {
  VocoderState& state = *row.state;
  const auto arrive = [&](const float* input) {
    place(state.holding ? input : nullptr);
    state.spoken += state.holding ? 1 : 0;
  };
  for (int mel = 0; mel < row.count * kStack; ++mel) {
    float arriving[kFeatures];
    std::copy_n(row.frames[mel / kStack] + mel % kStack * kFeatures, kFeatures, arriving);
    arriving[kVoicing] = arriving[kVoicing] > 0.5f ? 1.0f : 0.0f;
    arrive(arriving);
    std::copy_n(arriving, kFeatures, state.held);
    state.holding = true;
  }
  if (row.flush && state.holding) {
    arrive(state.held);  // nothing follows the last one: it reads itself
    state.holding = false;
  }
}

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
  // Of the mel frame that is held: natural log of Hz, and whether it is voiced.
  float LogF0(const VocoderState& state) const {
    return state.held[kLogF0] * pitch_.std + pitch_.mean;
  }
  static bool Voiced(const VocoderState& state) { return state.held[kVoicing] > 0.5f; }
  const SourceFilter& source_filter() const { return source_filter_; }

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

#include "model/speech/aligned_mel/vocoder.h"

#include <algorithm>
#include <string>

namespace firstbyte::aligned_mel {
namespace {

// The network runs on tiles of four rows that stand still in the stream, so that it does not matter
// how the stream is cut: a frame's last three mel frames wait for none of the next frame, its first
// came with the frame before. So the first tile begins with a blank, and the one of a flush has
// three behind the last mel frame.
static_assert(kStack == kernels::kCausalRows);
int TilesOf(const DecodeRow& row) {
  const bool last = row.flush && (row.count > 0 || row.state->holding);
  return row.count + (last ? 1 : 0);
}

}  // namespace

Vocoder::Vocoder(const VocoderConfig& config, PitchScale pitch, const nn::KernelTable& kernels,
                 nn::WeightLoader* weights)
    : kernels_(&kernels),
      config_(config),
      pitch_(pitch),
      in_conv_(weights->LoadConv("vocoder.in_conv", config.hidden_size, kFeatures)),
      source_filter_(config, kernels) {
  const int hidden = config.hidden_size;
  for (int i = 0; i < config.num_layers; ++i) {
    const std::string p = "vocoder.layers." + std::to_string(i) + ".";
    layers_.push_back({weights->LoadConv(p + "conv", 2 * hidden, hidden),
                       weights->LoadPointwise(p + "proj", hidden, hidden)});
  }
  out_ = weights->LoadPointwise("vocoder.out_proj",
                                2 * (config.harmonic_cepstra + config.noise_cepstra), hidden);
}

Vocoder::Buffers::Buffers(const Vocoder& v)
    : input({kMaxRows, kFeatures}),
      hidden({kMaxRows, v.config_.hidden_size}),
      gates({kMaxRows, 2 * v.config_.hidden_size}),
      gated({kMaxRows, v.config_.hidden_size}),
      cepstra({kMaxRows, v.out_.outputs()}),
      conv(kMaxTiles, std::max(v.config_.hidden_size, kFeatures)) {
  blanks.reserve(kMaxRows);
  excitation.reserve(kMaxRows);
  rows.reserve(kMaxRows);
  segments.reserve(kMaxTiles);
}

VocoderState Vocoder::NewState(uint64_t seed) const {
  VocoderState state;
  state.seed = seed;
  state.tails.resize(in_conv_.tail_floats() +
                     (layers_.empty() ? 0 : layers_.size() * layers_[0].conv.tail_floats()));
  return state;
}

void Vocoder::Decode(absl::Span<const DecodeRow> rows, Buffers* buffers) const {
  while (!rows.empty()) {
    size_t group = 0;
    int count = 0;
    while (group < rows.size() && group < kMaxTiles && count + TilesOf(rows[group]) <= kMaxTiles) {
      count += TilesOf(rows[group++]);
    }
    DecodeGroup(rows.subspan(0, group), buffers);
    rows.remove_prefix(group);
  }
}

void Vocoder::DecodeGroup(absl::Span<const DecodeRow> rows, Buffers* b) const {
  b->segments.clear();
  b->blanks.clear();
  b->excitation.clear();
  b->rows.clear();
  int tiles = 0;
  for (const DecodeRow& row : rows) {
    b->segments.push_back({nullptr, TilesOf(row)});
    Stage(row, tiles * kStack, b);
    tiles += b->segments.back().tiles;
  }
  if (tiles > 0) {
    RunNetwork(rows, tiles * kStack, b);
    source_filter_.Filter(b->rows, b->excitation.data(), &b->filter);
  }
  for (const DecodeRow& row : rows) {
    if (row.flush) source_filter_.Flush(&row.state->source, row.output);
  }
}

// Puts network input and excitation of a stream's mel frames at buffer rows `at`...
void Vocoder::Stage(const DecodeRow& row, int at, Buffers* b) const {
  EachMel(row, [&](const float* input) {
    if (input != nullptr) {
      StageHeld(input, row, at, b);
    } else {
      b->blanks.push_back(at);
    }
    ++at;
  });
  for (; at % kStack != 0; ++at) b->blanks.push_back(at);  // behind the last of a stream
}

void Vocoder::StageHeld(const float* input, const DecodeRow& row, int at, Buffers* b) const {
  VocoderState& state = *row.state;
  std::copy_n(input, kFeatures, b->input.data() + at * kFeatures);
  b->excitation.emplace_back();
  source_filter_.Excite(state.seed, LogF0(state), Voiced(state), &state.source,
                        &b->excitation.back());
  b->rows.push_back(
      {&state.source, b->cepstra.data() + static_cast<int64_t>(at) * out_.outputs(), row.output});
}

void Vocoder::Blank(Buffers* b, const nn::Tensor& rows, int width) const {
  for (int row : b->blanks) std::fill_n(rows.data() + row * width, width, 0.0f);
}

void Vocoder::RunNetwork(absl::Span<const DecodeRow> rows, int count, Buffers* b) const {
  Blank(b, b->input, kFeatures);
  Convolve(in_conv_, rows, 0, b->input.data(), b->hidden.data(), nn::Epilogue::kSilu, b);
  int64_t tail = in_conv_.tail_floats();
  for (const Layer& layer : layers_) {
    Blank(b, b->hidden, config_.hidden_size);
    Convolve(layer.conv, rows, tail, b->hidden.data(), b->gates.data(), nn::Epilogue::kNone, b);
    kernels_->tanh_gate(b->gates.data(), count, config_.hidden_size, b->gated.data());
    layer.proj.Forward(b->gated.data(), count, b->hidden.data(), nn::Epilogue::kAdd);
    tail += layer.conv.tail_floats();
  }
  out_.Forward(b->hidden.data(), count, b->cepstra.data());
}

void Vocoder::Convolve(const nn::CausalConv& conv, absl::Span<const DecodeRow> rows, int64_t tail,
                       const float* x, float* y, nn::Epilogue epilogue, Buffers* b) const {
  for (size_t i = 0; i < rows.size(); ++i) {
    b->segments[i].tail = rows[i].state->tails.data() + tail;
  }
  conv.Forward(x, b->segments, &b->conv, y, epilogue);
}

}  // namespace firstbyte::aligned_mel

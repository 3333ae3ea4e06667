#include "model/speech/aligned_mel/source_filter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "model/kernels/philox.h"

namespace firstbyte::aligned_mel {
namespace {

constexpr int kLanes = kernels::kFilterLanes;
constexpr double kPi = std::numbers::pi;

}  // namespace

nn::Tensor WarpedBasis(int order, double warp) {
  const int bins = kernels::kFilterBins;
  nn::Tensor basis({2 * bins, order});
  for (int bin = 0; bin < bins; ++bin) {
    const double w = kPi * bin / (bins - 1);
    const double bent = w + 2 * std::atan(warp * std::sin(w) / (1 - warp * std::cos(w)));
    for (int m = 0; m < order; ++m) {
      basis.data()[bin * order + m] = static_cast<float>(std::cos(m * bent));
      basis.data()[(bins + bin) * order + m] = static_cast<float>(-std::sin(m * bent));
    }
  }
  return basis;
}

nn::Tensor HannWindow() {
  nn::Tensor window({2 * kSubframe});
  for (int i = 0; i < 2 * kSubframe; ++i) {
    window.data()[i] = static_cast<float>(0.5 - 0.5 * std::cos(kPi * i / kSubframe));
  }
  return window;
}

SourceFilter::Buffers::Buffers()
    : scratch({kernels::FilterScratchFloats()}), pieces({kLanes, 2, kernels::kFftSize}) {}

SourceFilter::SourceFilter(const VocoderConfig& config, const nn::KernelTable& kernels)
    : kernels_(&kernels),
      harmonic_order_(config.harmonic_cepstra),
      noise_order_(config.noise_cepstra),
      // The network was trained on int16 / output_scale; samples leave as int16 / 32768.
      output_gain_(static_cast<float>(config.output_scale / 32768)),
      harmonic_basis_(WarpedBasis(config.harmonic_cepstra, config.warp)),
      noise_basis_(WarpedBasis(config.noise_cepstra, config.warp)),
      window_(HannWindow()) {}

void SourceFilter::Excite(uint64_t seed, double log_f0, bool voiced, SourceFilterState* state,
                          Excitation* out) const {
  std::copy_n(state->harmonic_tail, kSubframe, out->harmonic);
  std::copy_n(state->noise_tail, kSubframe, out->noise);
  const double from = state->started ? state->log_f0 : log_f0;
  kernels_->pulses(from, log_f0, voiced, kSampleRate, &state->phase, out->harmonic + kSubframe);
  kernels::UniformNoise(seed, state->samples, kMelSamples, kernels::NoisePurpose::kExcitation,
                        out->noise + kSubframe);
  std::copy_n(out->harmonic + kMelSamples, kSubframe, state->harmonic_tail);
  std::copy_n(out->noise + kMelSamples, kSubframe, state->noise_tail);
  state->log_f0 = log_f0;
  state->samples += kMelSamples;
  state->started = true;
}

void SourceFilter::Filter(absl::Span<const FilterRow> rows, const Excitation* excitation,
                          Buffers* buffers) const {
  std::array<const float*, kLanes> harmonic, noise, cepstra;
  std::array<float*, kLanes> pieces;
  for (size_t begin = 0; begin < rows.size(); begin += kLanes) {
    const int count = static_cast<int>(std::min<size_t>(kLanes, rows.size() - begin));
    for (int i = 0; i < count; ++i) {
      harmonic[i] = excitation[begin + i].harmonic;
      noise[i] = excitation[begin + i].noise;
      cepstra[i] = rows[begin + i].cepstra;
      pieces[i] = buffers->pieces.data() + i * 2 * kernels::kFftSize;
    }
    kernels_->filter({count, harmonic.data(), noise.data(), cepstra.data(), harmonic_order_,
                      noise_order_, harmonic_basis_.data(), noise_basis_.data(), window_.data(),
                      buffers->scratch.data(), pieces.data()});
    for (int i = 0; i < count; ++i) OverlapAdd(pieces[i], rows[begin + i]);
  }
}

// A piece starts 80 samples before its sub-frame, where it is the last to contribute.
void SourceFilter::OverlapAdd(const float* pieces, const FilterRow& row) const {
  float sum[kernels::kFftSize];
  for (int half = 0; half < 2; ++half, pieces += kernels::kFftSize) {
    SourceFilterState& state = *row.state;
    std::copy_n(pieces, kernels::kFftSize, sum);
    kernels_->add(state.overlap, kOverlap, sum);
    std::copy_n(sum + kSubframe, kOverlap, state.overlap);
    // The stream's first piece begins before the stream.
    if (half > 0 || state.flushable) Emit(sum, row.output);
    state.flushable = true;
  }
}

void SourceFilter::Flush(SourceFilterState* state, std::vector<float>* output) const {
  if (state->flushable) Emit(state->overlap, output);
  state->flushable = false;
}

void SourceFilter::Emit(const float* samples, std::vector<float>* output) const {
  const size_t before = output->size();
  output->resize(before + kSubframe);
  for (int i = 0; i < kSubframe; ++i) (*output)[before + i] = samples[i] * output_gain_;
}

}  // namespace firstbyte::aligned_mel

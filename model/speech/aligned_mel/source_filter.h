// Excitation (pulses and noise) and the minimum-phase filters that shape it.
//
// Continues exactly across calls: a stream cut into any pieces gives the same samples.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "model/nn/layers.h"
#include "model/speech/aligned_mel/config.h"

namespace firstbyte::aligned_mel {

inline constexpr int kMelSamples = kernels::kMelSamples;        // 160
inline constexpr int kSubframe = kMelSamples / 2;               // 80
inline constexpr int kOverlap = kernels::kFftSize - kSubframe;  // 432

// What the excitation and the overlap-add remember of a stream. Zeros at its start.
struct SourceFilterState {
  bool started = false;    // excitation was made
  bool flushable = false;  // something was filtered: 80 samples are held back
  double log_f0 = 0;       // of the last mel frame, natural log of Hz
  double phase = 0;        // turns
  int64_t samples = 0;     // of excitation made
  float harmonic_tail[kSubframe] = {}, noise_tail[kSubframe] = {};
  float overlap[kOverlap] = {};  // from the next sample to be finished
};

// Excitation of one mel frame with the 80 samples before it, as kernels::FilterStep wants it.
struct Excitation {
  float harmonic[kSubframe + kMelSamples], noise[kSubframe + kMelSamples];
};

// A mel frame to be filtered. Rows of one stream stand in order.
struct FilterRow {
  SourceFilterState* state;
  const float* cepstra;        // [2, harmonic + noise]
  std::vector<float>* output;  // finished samples are appended
};

// Log magnitude and phase of exp(sum c_m e^(-i m w~)) are linear in the cepstrum c: [2 * 257,
// order]. w~ is the frequency axis bent by an all-pass of coefficient `warp`, finer at low
// frequencies.
nn::Tensor WarpedBasis(int order, double warp);
nn::Tensor HannWindow();  // [kMelSamples], of excitation

class SourceFilter {
 public:
  // The filters' work memory, made once for a lane.
  struct Buffers {
    Buffers();
    nn::Tensor scratch, pieces;  // pieces: [16, 2, 512]
  };

  SourceFilter() = default;
  SourceFilter(const VocoderConfig& config, const nn::KernelTable& kernels);

  // Makes the next 160 samples of excitation of `state`'s stream. `log_f0` is the mel frame's; it
  // is reached, from the frame before, at its last sample.
  void Excite(uint64_t seed, double log_f0, bool voiced, SourceFilterState* state,
              Excitation* out) const;

  // Filters and overlap-adds rows.size() mel frames. Each finishes 160 samples, which trail the
  // excitation by 80; the first of a stream 80.
  void Filter(absl::Span<const FilterRow> rows, const Excitation* excitation,
              Buffers* buffers) const;
  // What samples are multiplied with when they leave.
  float output_gain() const { return output_gain_; }
  // The 80 samples that the next mel frame would have finished.
  void Flush(SourceFilterState* state, std::vector<float>* output) const;

 private:
  void Emit(const float* samples, std::vector<float>* output) const;
  void OverlapAdd(const float* pieces, const FilterRow& row) const;

  const nn::KernelTable* kernels_ = nullptr;
  int harmonic_order_ = 0, noise_order_ = 0;
  float output_gain_ = 1;
  nn::Tensor harmonic_basis_, noise_basis_, window_;
};

}  // namespace firstbyte::aligned_mel

// The CPU kernels that everything on the served path runs on, behind one table per instruction set.
//
// Contract of every kernel: fp32, row-major, no allocation, no locks, no global state, thread-safe
// on distinct outputs. What it computes for one row depends on that row alone, never on the number
// of rows or on the row's place among them; so a session sounds the same alone and in any batch.
// Instruction sets may differ from each other in the last bits.
#pragma once

#include <cstdint>

#include "model/kernels/isa.h"

namespace firstbyte::kernels {

inline constexpr int kPanel = 32;        // columns of a weight panel
inline constexpr int kHeadDim = 64;      // of attention
inline constexpr int kMelSamples = 160;  // samples of a mel frame: two sub-frames of 80
inline constexpr int kFilterLanes = 16;  // mel frames filtered side by side
inline constexpr int kFftSize = 512;
inline constexpr int kFilterBins = kFftSize / 2 + 1;

enum class Epilogue {
  kNone,         // y = x W' + b
  kSilu,         // y = silu(x W' + b)
  kAdd,          // y = y + (x W' + b)
  kReluSquared,  // y = max(x W' + b, 0)^2
};

// A weight matrix [n, k] packed by PackWeights().
struct PackedWeights {
  const float* panels = nullptr;  // [ceil(n / 32)][k][32], zero-padded, 64-byte aligned
  const float* bias = nullptr;    // [ceil(n / 32) * 32], zero-padded
  int n = 0, k = 0;
  const uint16_t* narrow = nullptr;  // PackNarrow()'s bfloat16, read instead; linear() only
};

// One LM step of attention: rotates q and k, writes k and v into the ring, attends.
struct AttentionStep {
  float* qkv;                // [rows, 3 * heads * 64]: q, k, v; q and k are rotated in place
  const float* cosines;      // [rows, 32], from rope_table
  const float* sines;        // [rows, 32]
  const int32_t* positions;  // [rows], from 0
  float* const* key_rings;  // [rows] -> [heads, 64, window]: transposed, so that scores are vectors
  float* const* value_rings;  // [rows] -> [heads, window, 64]
  float* out;                 // [rows, heads * 64]
  int rows, heads, window;    // window: a multiple of 16, at most 128
};

// The source-filter synthesis of up to 16 mel frames (of any sessions), each independent.
struct FilterStep {
  int count;                     // 1..16
  const float* const* harmonic;  // [count] -> [240]: the last 80 samples of excitation, then 160
  const float* const* noise;     // [count] -> [240]
  const float* const* cepstra;   // [count] -> [2 sub-frames][harmonic_order + noise_order]
  int harmonic_order, noise_order;
  const float* harmonic_basis;  // [2 * 257, harmonic_order]: log magnitudes, then phases
  const float* noise_basis;     // [2 * 257, noise_order]
  const float* window;          // [160]
  float* scratch;               // FilterScratchFloats(), 64-byte aligned
  float* const* out;  // [count] -> [2, 512]: the two filtered sub-frames, to be overlap-added
};
int64_t FilterScratchFloats();

struct CausalStep;  // causal.h
struct ConvStep;    // maps.h
struct WinogradStep;
struct MapNormStep;
struct BlockAttentionStep;  // tokens.h
struct ModulateStep;
struct GateStep;
struct HeadsStep;

struct KernelTable {
  Isa isa;
  int lanes;  // floats of a vector

  // y[m, n] = epilogue(x[m, k] W' + b). ldx, ldy: distance of rows. Each element is one chain of
  // multiply-adds over k in ascending order, so it does not depend on m.
  void (*linear)(const PackedWeights& weights, const float* x, int64_t ldx, int m, float* y,
                 int64_t ldy, Epilogue epilogue);

  // y[m, n] = x / sqrt(mean(x^2) + eps) * gain
  void (*rms_norm)(const float* x, const float* gain, float eps, int m, int n, float* y);
  // y[m, n] = silu(x[:, :n]) * x[:, n:], x [m, 2n]
  void (*swiglu)(const float* x, int m, int n, float* y);
  // y[m, n] = tanh(x[:, :n]) * sigmoid(x[:, n:]), x [m, 2n]
  void (*tanh_gate)(const float* x, int m, int n, float* y);
  // y[i] = silu(x[i])
  void (*silu)(const float* x, int64_t count, float* y);
  // y[i] += x[i]
  void (*add)(const float* x, int64_t count, float* y);

  // cosines, sines [m, 32] of position * frequencies[i] (radians a step; the product in double)
  void (*rope_table)(const int32_t* positions, const double* frequencies, int m, float* cosines,
                     float* sines);
  void (*attention)(const AttentionStep& step);

  // 160 samples of band-limited pulses while log F0 goes linearly from `from` to `to` (natural log
  // of Hz), zero when not voiced. `phase` in turns, [0, 1), advanced.
  void (*pulses)(double from, double to, bool voiced, double sample_rate, double* phase,
                 float* out);
  void (*filter)(const FilterStep& step);

  void (*causal)(const CausalStep& step);
  void (*conv3x3)(const ConvStep& step);
  void (*winograd)(const WinogradStep& step);
  void (*map_norm)(const MapNormStep& step);
  void (*block_attention)(const BlockAttentionStep& step);
  void (*modulate)(const ModulateStep& step);
  void (*gate)(const GateStep& step);
  void (*heads)(const HeadsStep& step);

  // y = exp(x), and y = sin(x), z = cos(x); |x| up to 8000. For tests and tables.
  void (*exp)(const float* x, int64_t count, float* y);
  void (*sincos)(const float* x, int64_t count, float* sines, float* cosines);
};

// `isa` must be Supported().
const KernelTable& Kernels(Isa isa);
inline const KernelTable& Kernels() { return Kernels(PreferredIsa()); }

int64_t PackedFloats(int n, int k);  // floats that PackWeights() writes
// weights [n, k] row-major -> panels
void PackWeights(const float* weights, int n, int k, float* panels);
// The same for PackedWeights::narrow; false when bfloat16 does not hold every weight exactly. Two
// vectors of columns share words, so the order is that of one instruction set: KernelTable::lanes.
bool PackNarrow(const float* weights, int n, int k, int lanes, uint16_t* panels);

}  // namespace firstbyte::kernels

// What the GPU's kernels work on, as plain structs of device addresses.
//
// Conventions. A step is laid out for a batch bucket: `rows` places for sessions, of which idle
// ones have slot -1 and are neither read nor written. slots[row] says whose caches a row uses; no
// two rows share one. What a session is at (lengths, positions, seeds) lies in arrays by slot, so
// that a captured graph finds it at a fixed address. T is float or Bf16; arrays of T are aligned to
// 16 bytes. Everything is row-major. What a row becomes depends on that row alone.
#pragma once

#include <cstdint>

#include "model/cuda/number.h"

namespace firstbyte::cuda {

// Attention of each session's `tokens` queries to the first lengths[slot] keys of its cache. Query
// heads share key heads evenly. Who sees no key gets zeros. Where splits is 1, a session has many
// queries and all see all keys, they go through the cache together (attend_tile.h).
template <typename T>
struct AttendStep {
  static constexpr int kMaxHeadDim = 256, kMaxGroup = 8;

  const T* queries;        // [rows * tokens] of [heads, head_dim], `query_stride` apart
  int64_t query_stride;    // elements
  const T* keys;           // [slots, kv_heads, capacity, head_dim]
  const T* values;         // the same
  const int32_t* slots;    // [rows]
  const int32_t* lengths;  // [slots], 0..capacity
  float* extremes;         // scratch [rows * tokens, heads, splits, 2]
  float* partials;         // scratch [rows * tokens, heads, splits, head_dim]
  T* out;                  // [rows * tokens, heads, head_dim]
  float scale;             // of the products
  bool causal = false;  // a session's last query sees all those keys, the one before one less, ..
  int rows, tokens, heads, kv_heads;
  int head_dim;  // a multiple of 8, at most kMaxHeadDim
  int capacity;
  int splits;  // of the cache, at most 1024; part of the result's last bits, so fixed for a model
};

// Makes queries, keys and values out of a product: normalises q and k head by head, rotates them,
// and writes k and v into the cache, where token t goes to place (places[slot] + t) % capacity.
// Before, values may be mixed with those of another product of the same shape: v += mix (v' - v).
template <typename T>
struct HeadsStep {
  static constexpr int kMaxHeadDim = 256;

  T* qkv;                     // [rows * tokens, heads + 2 kv_heads, head_dim]; q is replaced
  const float* query_gain;    // [head_dim]; null: q is not normalised
  const float* key_gain;      // the same for k
  const double* frequencies;  // [head_dim / 2], radians a position
  const float* offsets;       // [tokens, head_dim / 2], added to the angles; null: none
  const int32_t* slots;       // [rows]
  const int64_t* positions;   // [slots]
  const int32_t* places;      // [slots]
  T* keys;                    // [slots, kv_heads, capacity, head_dim]
  T* values;                  // the same
  float epsilon;
  bool interleaved;  // element 2 i turns with 2 i + 1, into i and i + half; else i with i + half
  int rows, tokens, heads, kv_heads;
  int head_dim;  // even, at most kMaxHeadDim
  int capacity;
  const T* mixed = nullptr;  // where v' is, as in qkv; null: values stay as they are
  float mix = 0;
};

// The seam between two branches of a transformer: x += gate * branch, then
// y = x / rms(x) * (1 + scale) + shift, with one gate, scale and shift for a session's tokens, or
// (stride 0) for all: so it is RMSNorm, too, whose gain is 1 + scale.
template <typename T>
struct ModulateStep {
  float* x;              // [rows * tokens, width]
  const T* branch;       // the same; null: x stays
  const float* gate;     // [rows] rows of width, `stride` apart; so are scale and shift. Null: 1
  const float* scale;    // null: y is not made
  const float* shift;    // null: 0
  int64_t stride;        // elements
  const int32_t* slots;  // [rows]
  T* y;                  // [rows * tokens, width]
  float epsilon;
  int rows, tokens, width;
  const int32_t* levels = nullptr;  // [rows]: whose gate, scale and shift it takes; null: its own
};

// Appends an element to each session's ring; AdvanceStep then counts it.
template <typename T>
struct RingWriteStep {
  const T* from;           // [rows, width]; null: zeros
  T* ring;                 // [slots, capacity, width]
  const int64_t* written;  // [slots]: elements so far; the next goes to place written % capacity
  const int32_t* slots;    // [rows]
  int rows, capacity, width;
};
struct AdvanceStep {
  int64_t* written;      // [slots], those of the rows are incremented
  const int32_t* slots;  // [rows]
  int rows;
};

// Draws a token for each session. In this order: repetition penalty, temperature, the top_k
// largest, the fewest of those that hold top_p of their probability (equals stay together).
struct SampleStep {
  const float* logits;        // [rows, vocabulary]; a NaN is never drawn beside a number
  const int32_t* slots;       // [rows]
  const uint64_t* seeds;      // [slots]
  int64_t* draws;             // [slots]: tokens drawn so far, incremented
  const float* temperatures;  // [slots]; 0: the likeliest token, of equals the first
  const int32_t* top_ks;      // [slots]; 0: all
  const float* top_ps;        // [slots], (0, 1]
  const float* penalties;     // [slots]; 1: none
  uint32_t* seen;             // [slots, ceil(vocabulary / 32)] bits: tokens that are penalised
  int32_t* tokens;            // [rows]; -1 for an idle one
  int rows;
  int vocabulary;  // at most 2^20
};

}  // namespace firstbyte::cuda

// What the kernels of diffusion transformers work on: the tokens of one frame of each session.
#pragma once

#include <cstdint>

namespace firstbyte::kernels {

// The tokens of a frame look at all keys of their session's ring, which holds the frame's own too.
struct BlockAttentionStep {
  const float* queries;        // [sessions * tokens] rows of heads * head_dim, `query_stride` apart
  int64_t query_stride;        // floats
  const float* const* keys;    // [sessions] -> [heads, head_dim, capacity]
  const float* const* values;  // [sessions] -> [heads, capacity, head_dim]
  const int32_t* lengths;      // [sessions]: the first so many keys are seen, 1..capacity
  float* out;                  // [sessions * tokens, heads * head_dim]
  float* scratch;              // [tokens, capacity]
  float scale;                 // of the products
  int sessions, tokens, heads;
  int head_dim;  // a multiple of 16
  int capacity;  // a multiple of 16
};

// y = x / rms(x) * (1 + scale) + shift, with one shift and scale for all tokens of a session.
struct ModulateStep {
  const float* x;      // [sessions * tokens, width]
  const float* shift;  // [sessions] rows of width, `stride` apart
  const float* scale;
  int64_t stride;  // floats
  float epsilon;
  float* y;  // [sessions * tokens, width]
  int sessions, tokens, width;
};

// x = x + gate * y, with one gate for all tokens of a session.
struct GateStep {
  float* x;           // [sessions * tokens, width]
  const float* y;     // the same
  const float* gate;  // [sessions] rows of width, `stride` apart
  int64_t stride;     // floats
  int sessions, tokens, width;
};

// Normalises queries and keys head by head, rotates them, and writes keys and values into rings.
struct HeadsStep {
  float* qkv;               // [sessions * tokens, 3 * heads * 64]: q is replaced
  const float* query_gain;  // [64]
  const float* key_gain;    // [64]
  const float* cosines;     // [sessions * tokens, 32]
  const float* sines;       // the same
  float* const* keys;       // [sessions] -> [heads, 64, capacity]
  float* const* values;     // [sessions] -> [heads, capacity, 64]
  const int32_t* places;    // [sessions]: where in the ring the frame's first token goes
  float epsilon;
  int sessions, tokens, heads, capacity;
};

}  // namespace firstbyte::kernels

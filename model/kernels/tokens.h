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

}  // namespace firstbyte::kernels

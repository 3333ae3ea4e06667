// Attention of a frame's tokens over a ring of frames. Private to model/kernels.
//
// Two small matrix products for each head, in tiles: keys lie transposed, so both walk rows of
// memory. The order over keys is that of their places in the ring.
#pragma once

#include "model/kernels/attention_impl.h"
#include "model/kernels/tokens.h"

namespace firstbyte::kernels {
namespace {

// y[r][v] = sum over i of a[r][i] * b[i][v], for kRows rows and kVecs vectors.
template <int kRows, int kVecs>
inline void ProductTile(const float* a, int64_t lda, const float* b, int64_t ldb, int k, float* y,
                        int64_t ldy) {
  F acc[kRows][kVecs];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVecs; ++v) acc[r][v] = F{};
  }
  for (int i = 0; i < k; ++i, b += ldb) {
    F bv[kVecs];
#pragma GCC unroll 8
    for (int v = 0; v < kVecs; ++v) bv[v] = Load(b + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      F av = Set(a[r * lda + i]);
#pragma GCC unroll 8
      for (int v = 0; v < kVecs; ++v) acc[r][v] = Fma(av, bv[v], acc[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVecs; ++v) Store(y + r * ldy + v * kLanes, acc[r][v]);
  }
}

// [rows, k] x [k, columns]; columns a multiple of 16.
template <int kVecs>
inline void Product(const float* a, int64_t lda, int rows, const float* b, int64_t ldb, int k,
                    float* y, int64_t ldy, int columns) {
  int column = 0;
  for (; column + kVecs * kLanes <= columns; column += kVecs * kLanes) {
    int r = 0;
    for (; r + 6 <= rows; r += 6) {
      ProductTile<6, kVecs>(a + r * lda, lda, b + column, ldb, k, y + r * ldy + column, ldy);
    }
    for (; r < rows; ++r) {
      ProductTile<1, kVecs>(a + r * lda, lda, b + column, ldb, k, y + r * ldy + column, ldy);
    }
  }
  if constexpr (kVecs > 1) {
    if (column < columns) {
      Product<1>(a, lda, rows, b + column, ldb, k, y + column, ldy, columns - column);
    }
  }
}

void BlockAttention(const BlockAttentionStep& step) {
  const int dim = step.head_dim, width = step.heads * dim, capacity = step.capacity;
  for (int s = 0; s < step.sessions; ++s) {
    const int length = step.lengths[s];
    const int padded = (length + 15) / 16 * 16;
    for (int h = 0; h < step.heads; ++h) {
      const int64_t row = static_cast<int64_t>(s) * step.tokens;
      const float* keys = step.keys[s] + static_cast<int64_t>(h) * dim * capacity;
      const float* values = step.values[s] + static_cast<int64_t>(h) * dim * capacity;
      Product<2>(step.queries + row * step.query_stride + h * dim, step.query_stride, step.tokens,
                 keys, capacity, dim, step.scratch, capacity, padded);
      for (int t = 0; t < step.tokens; ++t) {
        float* scores = step.scratch + static_cast<int64_t>(t) * capacity;
        for (int j = 0; j < length; j += kLanes) {
          Store(scores + j, Load(scores + j) * Set(step.scale));
        }
        for (int j = length; j < padded; ++j) scores[j] = -1e30f;
        Softmax(padded, scores);
      }
      constexpr int kMixVecs = kLanes == 16 ? 4 : 2;
      Product<kMixVecs>(step.scratch, capacity, step.tokens, values, dim, length,
                        step.out + row * width + h * dim, width, dim);
    }
  }
}

}  // namespace
}  // namespace firstbyte::kernels

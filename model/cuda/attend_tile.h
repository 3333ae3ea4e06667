// Attention of many queries to the same keys, as a picture's tokens have it: a block takes a tile
// of queries, of all heads that share keys, and goes through the cache tile by tile, so that a key
// is read once for all of them. Tiles are cut by places alone, so a session's result does not
// depend on its neighbours.
#pragma once

#include <cmath>

#include "model/cuda/attend.h"

namespace firstbyte::cuda {

template <typename T>
struct AttendTile {
  static constexpr int kThreads = 128;
  static constexpr int kRows = 32, kKeys = 64;  // of a tile: queries and keys
  static constexpr int kMaxHeadDim = 64;
  // A thread has kOwn rows that follow each other and kOwn columns that lie kLanes apart.
  static constexpr int kOwn = 4, kLanes = kThreads / (kRows / kOwn);
  // Threads that share a row while its weights are made.
  static constexpr int kShare = kThreads / kRows;

  struct Shared {
    float query[kRows][kMaxHeadDim];
    float tile[kKeys][kMaxHeadDim + 1];  // keys, then their values
    float weight[kRows][kKeys + kShare];
    float tops[kRows][kShare], sums[kRows][kShare];
    float largest[kRows], total[kRows], shrink[kRows];
  };
  struct Sums {
    float at[kOwn][kOwn];
  };
  // A block's part of the work.
  struct Part {
    int row, kv_head, first, slot, length;  // `first` of the session's queries
    int64_t cache;
  };

  AttendStep<T> step;

  Grid grid() const { return {step.rows * tiles(), step.kv_heads}; }
  bool fits() const {
    return AttendSplit<T>{step}.fits() && !step.causal && step.splits == 1 &&
           step.head_dim <= kMaxHeadDim && queries() >= kRows / 2;
  }
  constexpr int group() const { return step.heads / step.kv_heads; }
  constexpr int queries() const { return step.tokens * group(); }  // of a session to a kv head
  constexpr int tiles() const { return CeilDiv(queries(), kRows); }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared& s) const {
    const Part part = PartOf(block.at);
    if (part.slot < 0) return;
    typename Block::template PerThread<Sums> sums;
    block.Each([&](int t) {
      for (int i = 0; i < kOwn * kOwn; ++i) sums[t].at[i / kOwn][i % kOwn] = 0;
      LoadQueries(part, t, s);
    });
    for (int key = 0; key < part.length; key += kKeys) {
      const int count = Min(kKeys, part.length - key);
      block.Each([&](int t) { LoadTile(step.keys, part, key, count, t, s); });
      block.Each([&](int t) { Score(count, t, s); });
      block.Each([&](int t) { FindTops(t, s); });
      block.Each([&](int t) { Weigh(count, t, s); });
      block.Each([&](int t) {
        LoadTile(step.values, part, key, count, t, s);
        if (t < kRows) Sum(t, s);
      });
      block.Each([&](int t) { Accumulate(count, t, s, sums[t]); });
    }
    block.Each([&](int t) { Finish(part, t, s, sums[t]); });
  }

 private:
  FIRSTBYTE_DEVICE Part PartOf(const Grid& at) const {
    const int row = at.x / tiles(), slot = step.slots[row];
    if (slot < 0) return {row, at.y, 0, slot, 0, 0};
    const int64_t head = static_cast<int64_t>(slot) * step.kv_heads + at.y;
    return {row,
            at.y,
            at.x % tiles() * kRows,
            slot,
            Min(step.lengths[slot], step.capacity),
            head * step.capacity * step.head_dim};
  }

  // Of query `row` of a part, its token (of the bucket) and its head.
  FIRSTBYTE_DEVICE int64_t TokenOf(const Part& part, int row) const {
    return static_cast<int64_t>(part.row) * step.tokens + (part.first + row) / group();
  }
  FIRSTBYTE_DEVICE int HeadOf(const Part& part, int row) const {
    return part.kv_head * group() + (part.first + row) % group();
  }

  FIRSTBYTE_DEVICE void LoadQueries(const Part& part, int t, Shared& s) const {
    for (int i = t; i < kRows * step.head_dim; i += kThreads) {
      const int row = i / step.head_dim, d = i % step.head_dim;
      s.query[row][d] = 0;
      if (part.first + row >= queries()) continue;
      const T* query = step.queries + TokenOf(part, row) * step.query_stride;
      s.query[row][d] = ToFloat(query[HeadOf(part, row) * step.head_dim + d]) * step.scale;
    }
    if (t < kRows) {
      s.largest[t] = kNoScore;
      s.total[t] = 0;
    }
  }

  FIRSTBYTE_DEVICE void LoadTile(const T* cache, const Part& part, int key, int count, int t,
                                 Shared& s) const {
    const T* from = cache + part.cache + static_cast<int64_t>(key) * step.head_dim;
    for (int i = t; i < count * step.head_dim; i += kThreads) {
      s.tile[i / step.head_dim][i % step.head_dim] = ToFloat(from[i]);
    }
  }

  FIRSTBYTE_DEVICE static int RowOf(int t, int i) { return t / kLanes * kOwn + i; }
  FIRSTBYTE_DEVICE static int ColumnOf(int t, int j) { return t % kLanes + j * kLanes; }

  FIRSTBYTE_DEVICE void Score(int count, int t, Shared& s) const {
    float score[kOwn][kOwn] = {};
    for (int d = 0; d < step.head_dim; ++d) {
      FIRSTBYTE_UNROLL
      for (int j = 0; j < kOwn; ++j) {
        const float key = s.tile[ColumnOf(t, j)][d];
        FIRSTBYTE_UNROLL
        for (int i = 0; i < kOwn; ++i)
          score[i][j] = fmaf(s.query[RowOf(t, i)][d], key, score[i][j]);
      }
    }
    FIRSTBYTE_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      FIRSTBYTE_UNROLL
      for (int j = 0; j < kOwn; ++j) {
        const int column = ColumnOf(t, j);  // beyond the keys lies what was there before
        s.weight[RowOf(t, i)][column] = column < count ? score[i][j] : kNoScore;
      }
    }
  }

  FIRSTBYTE_DEVICE void FindTops(int t, Shared& s) const {
    const int row = t / kShare, share = t % kShare;
    float top = kNoScore;
    for (int c = share; c < kKeys; c += kShare) top = Max(top, s.weight[row][c]);
    s.tops[row][share] = top;
  }

  FIRSTBYTE_DEVICE static float Largest(const Shared& s, int row) {
    float largest = s.largest[row];
    for (int i = 0; i < kShare; ++i) largest = Max(largest, s.tops[row][i]);
    return largest;
  }

  FIRSTBYTE_DEVICE void Weigh(int count, int t, Shared& s) const {
    const int row = t / kShare, share = t % kShare;
    const float largest = Largest(s, row);
    float sum = 0;
    for (int c = share; c < count; c += kShare) {
      const float weight = expf(s.weight[row][c] - largest);
      s.weight[row][c] = weight;
      sum += weight;
    }
    s.sums[row][share] = sum;
  }

  FIRSTBYTE_DEVICE static void Sum(int row, Shared& s) {
    const float largest = Largest(s, row);
    s.shrink[row] = expf(s.largest[row] - largest);
    s.largest[row] = largest;
    float total = s.total[row] * s.shrink[row];
    for (int i = 0; i < kShare; ++i) total += s.sums[row][i];
    s.total[row] = total;
  }

  // Columns are elements of a value here; those beyond head_dim are not used.
  FIRSTBYTE_DEVICE void Accumulate(int count, int t, const Shared& s, Sums& sums) const {
    FIRSTBYTE_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      FIRSTBYTE_UNROLL
      for (int j = 0; j < kOwn; ++j) sums.at[i][j] *= s.shrink[RowOf(t, i)];
    }
    for (int key = 0; key < count; ++key) {
      FIRSTBYTE_UNROLL
      for (int j = 0; j < kOwn; ++j) {
        const float value = s.tile[key][ColumnOf(t, j)];
        FIRSTBYTE_UNROLL
        for (int i = 0; i < kOwn; ++i) {
          sums.at[i][j] = fmaf(s.weight[RowOf(t, i)][key], value, sums.at[i][j]);
        }
      }
    }
  }

  FIRSTBYTE_DEVICE void Finish(const Part& part, int t, const Shared& s, const Sums& sums) const {
    FIRSTBYTE_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      const int row = RowOf(t, i);
      if (part.first + row >= queries()) continue;
      T* out = step.out + (TokenOf(part, row) * step.heads + HeadOf(part, row)) * step.head_dim;
      FIRSTBYTE_UNROLL
      for (int j = 0; j < kOwn; ++j) {
        const int d = ColumnOf(t, j);
        if (d >= step.head_dim) continue;
        Store(s.total[row] > 0 ? sums.at[i][j] / s.total[row] : 0, out + d);
      }
    }
  }
};

}  // namespace firstbyte::cuda

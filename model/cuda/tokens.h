// What a step of a language model begins and ends with, so that the host has no part in it: who
// takes part and where its token goes, what the token looks like, and what is kept of the one that
// has been drawn.
#pragma once

#include <cmath>

#include "model/cuda/steps.h"
#include "model/kernels/philox.h"

namespace firstbyte::cuda {

// What sessions are at, in arrays by slot. The first seven are SampleStep's.
struct Speakers {
  uint64_t* seeds;
  int64_t* draws;
  float* temperatures;
  int32_t* top_ks;
  float* top_ps;
  float* penalties;
  uint32_t* seen;
  int32_t* tokens;     // the one that is next to be heard by the model
  int64_t* positions;  // its
  int64_t* limits;     // at this position a session stops
  int32_t* stopped;    // 1: takes no part any more
  int32_t* places;     // of the token in the session's cache
  int32_t* lengths;    // of the cache with it
};

// What the host says of a row.
struct SpeakerRow {
  int32_t begins;  // 1: a session begins in the slot, with what follows; 0: it goes on
  int32_t token;
  int64_t position, limit;
  uint64_t seed;
  float temperature, top_p, penalty;
  int32_t top_k;
};

// Begins sessions, and leaves those out that have stopped.
struct JoinStep {
  const SpeakerRow* given;  // [rows]
  const int32_t* slots;     // [rows]
  Speakers speakers;
  int32_t* active;  // [rows]: the slot of who takes part, else -1
  int32_t* tokens;  // [rows]: who takes part, its token
  int rows, vocabulary, capacity;
};

// Keeps what has been drawn: it is next. Who drew the end, or is at its limit, has stopped.
struct KeepStep {
  const int32_t* active;  // [rows]
  const int32_t* drawn;   // [rows]
  Speakers speakers;
  int32_t end;
  int rows;
};

// Rows of a table.
template <typename T>
struct EmbedStep {
  const T* table;        // [vocabulary, width]
  const int32_t* ids;    // [rows * tokens], within the table
  const int32_t* slots;  // [rows]
  float* x;              // [rows * tokens, width]
  int rows, tokens, width;
};

// scale * kernels::UniformNoise(), from its start: weights that nobody trained.
template <typename T>
struct NoiseStep {
  T* to;
  int64_t count;
  uint64_t seed;
  float scale;
};

struct Join {
  static constexpr int kThreads = 128;
  struct Shared {};

  JoinStep step;

  Grid grid() const { return {step.rows}; }
  bool fits() const { return step.vocabulary > 0 && step.capacity > 0; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    const int row = block.at.x, slot = step.slots[row];
    if (slot >= 0 && step.given[row].begins == 1) {
      const int words = CeilDiv(step.vocabulary, 32);
      uint32_t* seen = step.speakers.seen + static_cast<int64_t>(slot) * words;
      block.Each([&](int t) {
        for (int i = t; i < words; i += kThreads) seen[i] = 0;
        if (t == 0) Begin(step.given[row], slot);
      });
    }
    block.Each([&](int t) {
      if (t == 0) step.active[row] = TakesPart(row, slot) ? slot : -1;
    });
  }

 private:
  FIRSTBYTE_DEVICE void Begin(const SpeakerRow& given, int slot) const {
    const Speakers& s = step.speakers;
    s.seeds[slot] = given.seed;
    s.draws[slot] = 0;
    s.temperatures[slot] = given.temperature;
    s.top_ks[slot] = given.top_k;
    s.top_ps[slot] = given.top_p;
    s.penalties[slot] = given.penalty;
    s.tokens[slot] = given.token;
    s.positions[slot] = given.position;
    s.limits[slot] = given.limit;
    s.stopped[slot] = 0;
  }
  FIRSTBYTE_DEVICE bool TakesPart(int row, int slot) const {
    const Speakers& s = step.speakers;
    if (slot < 0 || s.stopped[slot] == 1) return false;
    const int64_t position = s.positions[slot];
    step.tokens[row] = s.tokens[slot];
    s.places[slot] = static_cast<int32_t>(position % step.capacity);
    s.lengths[slot] = position < step.capacity ? static_cast<int32_t>(position + 1) : step.capacity;
    return true;
  }
};

struct Keep {
  static constexpr int kThreads = 128;
  struct Shared {};

  KeepStep step;

  Grid grid() const { return {CeilDiv(step.rows, kThreads)}; }
  bool fits() const { return true; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    const Speakers& s = step.speakers;
    block.Each([&](int t) {
      const int row = block.at.x * kThreads + t;
      if (row >= step.rows || step.active[row] < 0) return;
      const int slot = step.active[row];
      s.tokens[slot] = step.drawn[row];
      const bool full = ++s.positions[slot] >= s.limits[slot];
      s.stopped[slot] = full || step.drawn[row] == step.end ? 1 : 0;
    });
  }
};

template <typename T>
struct Embed {
  static constexpr int kThreads = 256;
  struct Shared {};

  EmbedStep<T> step;

  Grid grid() const { return {step.rows * step.tokens}; }
  bool fits() const { return step.tokens > 0 && step.width > 0; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    if (step.slots[block.at.x / step.tokens] < 0) return;
    const T* from = step.table + static_cast<int64_t>(step.ids[block.at.x]) * step.width;
    float* x = step.x + static_cast<int64_t>(block.at.x) * step.width;
    block.Each([&](int t) {
      for (int i = t; i < step.width; i += kThreads) x[i] = ToFloat(from[i]);
    });
  }
};

template <typename T>
struct Noise {
  static constexpr int kThreads = 256, kWords = 4;
  struct Shared {};

  NoiseStep<T> step;

  Grid grid() const {
    constexpr int kOfBlock = kThreads * kWords;
    return {static_cast<int>((step.count + kOfBlock - 1) / kOfBlock)};
  }
  bool fits() const { return step.count >= 0; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared&) const {
    const kernels::PhiloxKey key = {static_cast<uint32_t>(step.seed),
                                    static_cast<uint32_t>(step.seed >> 32)};
    block.Each([&](int t) {
      const int64_t at = static_cast<int64_t>(block.at.x) * kThreads + t;
      const auto words =
          kernels::Philox4x32({static_cast<uint32_t>(at), static_cast<uint32_t>(at >> 32),
                               static_cast<uint32_t>(kernels::NoisePurpose::kWeights), 0},
                              key);
      FIRSTBYTE_UNROLL
      for (int i = 0; i < kWords; ++i) {
        if (at * kWords + i < step.count) Store(Uniform(words[i]), step.to + at * kWords + i);
      }
    });
  }

 private:
  // As kernels::UniformNoise.
  FIRSTBYTE_DEVICE float Uniform(uint32_t word) const {
    const float unit = static_cast<float>(word >> 8) * 0x1p-24f, root3 = 1.7320508075688772f;
    return (2.0f * unit - 1.0f) * root3 * step.scale;
  }
};

}  // namespace firstbyte::cuda

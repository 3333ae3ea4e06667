// Drawing a token on the device: a block has a session.
//
// Nothing is sorted. Where few tokens can be drawn, see sample_few.h. Else numbers are ordered by
// their bits, and the k-th largest, or the one at which the probability reaches top_p, is found
// digit by digit, 8 bits at a time, in histograms. Probabilities are whole numbers, 2^40 for the
// likeliest token: their sums are exact, so the order in which threads add them up does not matter,
// and a seed draws the same tokens every time.
#pragma once

#include <cfloat>
#include <cmath>

#include "model/cuda/sample_few.h"
#include "model/cuda/steps.h"
#include "model/kernels/philox.h"

namespace firstbyte::cuda {

struct Sample {
  static constexpr int kThreads = 256, kDigits = 256;
  static constexpr float kOne = 0x1p40f;  // the likeliest token's share
  static constexpr uint32_t kAll = 0;     // every number's bits are at least this

  struct Shared {
    float value[kThreads];
    int token[kThreads];
    uint64_t digit[kDigits];
    uint64_t mass[kThreads];
    uint64_t wanted;  // of the tokens not yet counted
    uint32_t kept;    // tokens of at least these bits are kept
    uint64_t ticket;  // which of the shares is drawn
    int drawn;
    FewTokens::Shared few;
  };
  // What a session asks for.
  struct Row {
    const float* logits;
    uint32_t* seen;
    int slot, top_k;
    float temperature, top_p, penalty;
  };

  SampleStep step;

  Grid grid() const { return {step.rows}; }
  bool fits() const { return step.vocabulary > 0 && step.vocabulary <= 1 << 20; }

  template <typename Block>
  FIRSTBYTE_DEVICE void Run(Block& block, Shared& s) const {
    const Row row = RowOf(block.at.x);
    if (row.slot < 0) {
      block.Each([&](int t) {
        if (t == 0) step.tokens[block.at.x] = -1;
      });
      return;
    }
    FindLargest(block, row, s);
    if (row.temperature > 0) Draw(block, row, s);
    block.Each([&](int t) {
      if (t > 0) return;
      const int token = row.temperature > 0 ? s.drawn : s.token[0];
      step.tokens[block.at.x] = token;
      row.seen[token / 32] |= uint32_t{1} << token % 32;
      ++step.draws[row.slot];
    });
  }

 private:
  FIRSTBYTE_DEVICE Row RowOf(int index) const {
    const int slot = step.slots[index];
    if (slot < 0) return Row{nullptr, nullptr, slot, 0, 0, 0, 0};
    return Row{step.logits + static_cast<int64_t>(index) * step.vocabulary,
               step.seen + static_cast<int64_t>(slot) * CeilDiv(step.vocabulary, 32),
               slot,
               step.top_ks[slot],
               step.temperatures[slot],
               step.top_ps[slot],
               step.penalties[slot]};
  }

  // A token's logit as it takes part; always finite.
  FIRSTBYTE_DEVICE float Value(const Row& row, int token) const {
    float x = row.logits[token];
    if (row.seen[token / 32] >> token % 32 & 1) {
      x = x > 0 ? x / row.penalty : x * row.penalty;
    }
    if (row.temperature > 0) x /= row.temperature;
    if (!(x > -FLT_MAX)) return -FLT_MAX;  // no number, too
    return x < FLT_MAX ? x : FLT_MAX;
  }

  // A token's share of the probability, given the largest value.
  FIRSTBYTE_DEVICE static uint64_t Share(float value, float largest) {
    return static_cast<uint64_t>(expf(value - largest) * kOne);
  }

  FIRSTBYTE_DEVICE bool IsFew(const Row& row) const {
    static_assert(FewTokens::kThreads == kThreads);
    return row.temperature > 0 && row.top_k > 0 && row.top_k <= kThreads &&
           row.top_k < step.vocabulary;
  }

  // To value[0] and token[0]; of equals the first token.
  template <typename Block>
  FIRSTBYTE_DEVICE void FindLargest(Block& block, const Row& row, Shared& s) const {
    block.Each([&](int t) {
      float best = -FLT_MAX;
      int token = t < step.vocabulary ? t : 0;
      for (int i = t; i < step.vocabulary; i += kThreads) {
        const float value = Value(row, i);
        if (value > best) {
          best = value;
          token = i;
        }
      }
      s.value[t] = best;
      s.token[t] = token;
    });
    if (IsFew(row)) FewTokens::Bound(block, s.value, row.top_k, s.few);
    for (int n = kThreads / 2; n > 0; n /= 2) {
      block.Each([&](int t) {
        if (t >= n) return;
        const bool first = s.token[t + n] < s.token[t];
        if (s.value[t + n] > s.value[t] || (s.value[t + n] == s.value[t] && first)) {
          s.value[t] = s.value[t + n];
          s.token[t] = s.token[t + n];
        }
      });
    }
  }

  template <typename Block>
  FIRSTBYTE_DEVICE void Draw(Block& block, const Row& row, Shared& s) const {
    const float largest = s.value[0];
    auto share = [largest](float value) { return Share(value, largest); };
    if (IsFew(row) &&
        FewTokens::Gather(
            block, step.vocabulary, [&](int i) { return Value(row, i); }, share, s.few)) {
      FewTokens::Draw(block, row.top_k, row.top_p, Random(row.slot), s.few, &s.drawn);
      return;
    }
    block.Each([&](int t) {
      if (t > 0) return;
      s.kept = kAll;
      s.wanted = row.top_k;
    });
    if (row.top_k > 0 && row.top_k < step.vocabulary) {
      Cut(block, row, s, [](float) { return uint64_t{1}; });
    }
    if (row.top_p < 1) {
      SumShares(block, row, largest, s);
      block.Each([&](int t) {
        if (t > 0) return;
        s.wanted = WantedOf(row.top_p, Total(s));
      });
      Cut(block, row, s, share);
    }
    SumShares(block, row, largest, s);
    block.Each([&](int t) {
      if (t == 0) s.ticket = MultiplyHigh(Random(row.slot), Total(s));
    });
    Find(block, row, largest, s);
  }

  // Raises `kept` to the bits of the largest value such that the weights of all values from it on,
  // that were kept before, sum up to `wanted`, which is at least 1 and at most the sum of all.
  template <typename Block, typename Weight>
  FIRSTBYTE_DEVICE void Cut(Block& block, const Row& row, Shared& s, Weight weight) const {
    const uint32_t floor = s.kept;
    uint32_t prefix = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
      block.Each([&](int t) { s.digit[t] = 0; });
      block.Each([&](int t) {
        for (int i = t; i < step.vocabulary; i += kThreads) {
          const float value = Value(row, i);
          const uint32_t order = OrderOf(value);
          const bool here = shift == 24 || order >> (shift + 8) == prefix >> (shift + 8);
          if (order >= floor && here) block.Add(&s.digit[order >> shift & 255], weight(value));
        }
      });
      block.Each([&](int t) {
        if (t > 0) return;
        int digit = kDigits - 1;
        for (; digit > 0 && s.digit[digit] < s.wanted; --digit) s.wanted -= s.digit[digit];
        s.kept = prefix | static_cast<uint32_t>(digit) << shift;
      });
      prefix = s.kept;
    }
  }

  // Tokens that one thread sums up.
  constexpr int run() const { return CeilDiv(step.vocabulary, kThreads); }

  // Shares of each thread's stretch of kept tokens.
  template <typename Block>
  FIRSTBYTE_DEVICE void SumShares(Block& block, const Row& row, float largest, Shared& s) const {
    block.Each([&](int t) {
      uint64_t sum = 0;
      const int end = Min((t + 1) * run(), step.vocabulary);
      for (int i = t * run(); i < end; ++i) {
        const float value = Value(row, i);
        if (OrderOf(value) >= s.kept) sum += Share(value, largest);
      }
      s.mass[t] = sum;
    });
  }

  FIRSTBYTE_DEVICE static uint64_t Total(const Shared& s) {
    uint64_t total = 0;
    for (int t = 0; t < kThreads; ++t) total += s.mass[t];
    return total;
  }

  FIRSTBYTE_DEVICE uint64_t Random(int slot) const {
    const auto draw = static_cast<uint64_t>(step.draws[slot]);
    const uint64_t seed = step.seeds[slot];
    const auto words =
        kernels::Philox4x32({static_cast<uint32_t>(draw), static_cast<uint32_t>(draw >> 32),
                             static_cast<uint32_t>(kernels::NoisePurpose::kToken), 0},
                            {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    return uint64_t{words[1]} << 32 | words[0];
  }

  // The token that has the drawn share, tokens in their order.
  template <typename Block>
  FIRSTBYTE_DEVICE void Find(Block& block, const Row& row, float largest, Shared& s) const {
    block.Each([&](int t) {
      if (t > 0) return;
      int stretch = 0;
      uint64_t left = s.ticket;
      for (; left >= s.mass[stretch]; ++stretch) left -= s.mass[stretch];
      int token = stretch * run();
      for (;; ++token) {
        const float value = Value(row, token);
        if (OrderOf(value) < s.kept) continue;
        const uint64_t share = Share(value, largest);
        if (left < share) break;
        left -= share;
      }
      s.drawn = token;
    });
  }
};

}  // namespace firstbyte::cuda

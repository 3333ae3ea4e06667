// Drawing where top_k is small: the tokens that can be drawn are gathered in one pass over the
// vocabulary, and then each is held against each. So the logits are read twice; the histograms of
// sample.h, which take any top_k, read them a dozen times, and a block's threads wait for each
// other at the few digits that most logits begin with. Both keep the same tokens.
#pragma once

#include <cmath>

#include "model/cuda/number.h"

namespace firstbyte::cuda {

// Bits of numbers whose order as integers is that of the numbers.
FIRSTBYTE_DEVICE inline uint32_t OrderOf(float x) {
  const uint32_t bits = BitsOf(x);
  return bits >> 31 ? ~bits : bits | 0x80000000;
}

// floor(a b / 2^64)
FIRSTBYTE_DEVICE inline uint64_t MultiplyHigh(uint64_t a, uint64_t b) {
  const uint64_t low = 0xFFFFFFFF, a0 = a & low, a1 = a >> 32, b0 = b & low, b1 = b >> 32;
  const uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
  return a1 * b1 + (middle >> 32) + ((a0 * b1 + (middle & low)) >> 32);
}

// What top_p asks for of `total` shares: 1 to all.
FIRSTBYTE_DEVICE inline uint64_t WantedOf(float top_p, uint64_t total) {
  const auto wanted = static_cast<uint64_t>(ceil(top_p * static_cast<double>(total)));
  return wanted < 1 ? 1 : wanted < total ? wanted : total;
}

struct FewTokens {
  static constexpr int kThreads = 256, kOfThread = 8, kMost = 512;

  struct Shared {
    uint32_t floor;       // candidates are at least this, see OrderOf()
    int first[kThreads];  // where a thread's candidates begin
    int count;            // of candidates; -1: too many
    int token[kMost];
    uint32_t order[kMost];
    uint64_t share[kMost];
    uint32_t kept, cut;  // tokens from `kept` on can be drawn
  };
  struct Mine {
    int count, token[kOfThread];
  };

  // Given the largest value of each thread's tokens: the k-th largest of those is a value of which
  // there are k or more from it on. k is at most kThreads.
  template <typename Block>
  FIRSTBYTE_DEVICE static void Bound(Block& block, const float* largest, int k, Shared& s) {
    block.Each([&](int t) {
      const uint32_t own = OrderOf(largest[t]);
      int above = 0, equal = 0;
      for (int i = 0; i < kThreads; ++i) {
        above += OrderOf(largest[i]) > own ? 1 : 0;
        equal += OrderOf(largest[i]) == own ? 1 : 0;
      }
      if (above < k && k <= above + equal) s.floor = own;
    });
  }

  // Lists the tokens whose value(token) is not below the bound, with their share(value). False:
  // there are too many, such as among many equals.
  template <typename Block, typename Value, typename Share>
  FIRSTBYTE_DEVICE static bool Gather(Block& block, int vocabulary, Value value, Share share,
                                      Shared& s) {
    typename Block::template PerThread<Mine> mine;
    block.Each([&](int t) {
      Mine& m = mine[t];
      m.count = 0;
      for (int i = t; i < vocabulary; i += kThreads) {
        if (OrderOf(value(i)) < s.floor) continue;
        if (m.count < kOfThread) m.token[m.count] = i;
        ++m.count;
      }
      s.first[t] = m.count;
    });
    block.Each([&](int t) {
      if (t == 0) Place(s);
    });
    if (s.count < 0) return false;
    block.Each([&](int t) {
      for (int i = 0; i < mine[t].count; ++i) {
        const int to = s.first[t] + i, token = mine[t].token[i];
        s.token[to] = token;
        s.order[to] = OrderOf(value(token));
        s.share[to] = share(value(token));
      }
    });
    return true;
  }

  // Draws one of those listed, by `random`, which is uniform.
  template <typename Block>
  FIRSTBYTE_DEVICE static void Draw(Block& block, int top_k, float top_p, uint64_t random,
                                    Shared& s, int* drawn) {
    block.Each([&](int t) {
      ForEach(t, s, [&](int i) {
        int above = 0, equal = 0;
        for (int j = 0; j < s.count; ++j) {
          above += s.order[j] > s.order[i] ? 1 : 0;
          equal += s.order[j] == s.order[i] ? 1 : 0;
        }
        if (above < top_k && top_k <= above + equal) s.kept = s.order[i];
      });
    });
    if (top_p < 1) CutAt(block, top_p, s);
    block.Each([&](int t) {
      const uint64_t ticket =
          MultiplyHigh(random, Mass(s, [&](int j) { return s.order[j] >= s.kept; }));
      ForEach(t, s, [&](int i) {
        if (s.order[i] < s.kept) return;
        const uint64_t before =
            Mass(s, [&](int j) { return s.order[j] >= s.kept && s.token[j] < s.token[i]; });
        if (before <= ticket && ticket - before < s.share[i]) *drawn = s.token[i];
      });
    });
  }

 private:
  // From counts to places.
  FIRSTBYTE_DEVICE static void Place(Shared& s) {
    bool fits = true;
    int total = 0;
    for (int i = 0; i < kThreads; ++i) {
      const int count = s.first[i];
      fits = fits && count <= kOfThread;
      s.first[i] = total;
      total += count;
    }
    s.count = fits && total <= kMost ? total : -1;
  }

  // The fewest of those kept that hold top_p of their shares; equals stay together.
  template <typename Block>
  FIRSTBYTE_DEVICE static void CutAt(Block& block, float top_p, Shared& s) {
    block.Each([&](int t) {
      const uint64_t wanted = WantedOf(top_p, Mass(s, [&](int j) { return s.order[j] >= s.kept; }));
      ForEach(t, s, [&](int i) {
        if (s.order[i] < s.kept) return;
        const uint64_t above = Mass(s, [&](int j) { return s.order[j] > s.order[i]; });
        const uint64_t equal = Mass(s, [&](int j) { return s.order[j] == s.order[i]; });
        if (above < wanted && wanted <= above + equal) s.cut = s.order[i];
      });
    });
    block.Each([&](int t) {
      if (t == 0) s.kept = s.cut;
    });
  }

  template <typename F>
  FIRSTBYTE_DEVICE static void ForEach(int thread, const Shared& s, F f) {
    for (int i = thread; i < s.count; i += kThreads) f(i);
  }
  template <typename Which>
  FIRSTBYTE_DEVICE static uint64_t Mass(const Shared& s, Which which) {
    uint64_t mass = 0;
    for (int j = 0; j < s.count; ++j) {
      if (which(j)) mass += s.share[j];
    }
    return mass;
  }
};

}  // namespace firstbyte::cuda

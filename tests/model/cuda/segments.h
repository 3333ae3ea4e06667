// Streams cut into steps at random, as a vocoder's are.
#pragma once

#include <algorithm>
#include <vector>

#include "model/cuda/causal.h"
#include "tests/model/cuda/random_case.h"

namespace firstbyte::cuda {

struct CutStep {
  std::vector<int32_t> slots;
  std::vector<Segment> segments;  // parallel to slots; of an idle row rubbish
};

// Steps of `rows` rows in which streams 0 .. streams - 1, whose slots these are, get all their mel
// frames, at most `places` in a step, after a blank one.
inline std::vector<CutStep> CutStreams(RandomCase* random, int streams, int mels, int places,
                                       int rows) {
  std::vector<int64_t> next(streams, -1);
  std::vector<CutStep> steps;
  while (*std::min_element(next.begin(), next.end()) < mels) {
    CutStep step{random->Slots(rows, streams), {}};
    for (int32_t& slot : step.slots) {
      if (slot >= 0 && next[slot] == mels) slot = -1;
      Segment segment{-1000, places};
      if (slot >= 0) {
        const auto left = static_cast<int>(mels - next[slot]);
        segment = {next[slot], random->Between(1, std::min(places, left))};
        next[slot] += segment.count;
      }
      step.segments.push_back(segment);
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

// One for each stream alone, with all of it.
inline std::vector<CutStep> WholeStreams(int streams, int mels) {
  std::vector<CutStep> steps;
  for (int stream = 0; stream < streams; ++stream) steps.push_back({{stream}, {{-1, mels + 1}}});
  return steps;
}

}  // namespace firstbyte::cuda

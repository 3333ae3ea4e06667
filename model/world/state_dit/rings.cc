#include "model/world/state_dit/rings.h"

#include <bit>
#include <cstring>

namespace firstbyte::state_dit {

Rings::Rings(const DitConfig& c, int slots)
    : layers_(c.layers),
      heads_(c.heads),
      window_(c.window),
      capacity_(((c.window + 1) * kTokens + 15) / 16 * 16),
      ring_(int64_t{1} * c.heads * kHeadDim * capacity_),
      data_({slots, c.layers, 2, ring_}) {}

void Rings::TakeTail(int slot, int layer, int place) const {
  const int tail = window_ * kTokens, to = place * kTokens;
  float* key = keys(slot, layer);
  for (int row = 0; row < heads_ * kHeadDim; ++row, key += capacity_) {
    std::memcpy(key + to, key + tail, sizeof(float) * kTokens);
  }
  float* value = values(slot, layer);
  for (int head = 0; head < heads_; ++head, value += capacity_ * kHeadDim) {
    std::memcpy(value + to * kHeadDim, value + tail * kHeadDim, sizeof(float) * kTokens * kHeadDim);
  }
}

int64_t Rings::SavedBytes(int frames) const {
  return int64_t{8} * layers_ * heads_ * kHeadDim * frames * kTokens;
}

template <typename Visit>
void Rings::ForEachRun(int slot, int frames, Visit visit) const {
  const int64_t tokens = int64_t{1} * frames * kTokens;
  for (int layer = 0; layer < layers_; ++layer) {
    float *key = keys(slot, layer), *value = values(slot, layer);
    for (int row = 0; row < heads_ * kHeadDim; ++row) visit(key + row * capacity_, tokens);
    for (int head = 0; head < heads_; ++head) {
      visit(value + head * capacity_ * kHeadDim, tokens * kHeadDim);
    }
  }
}

void Rings::Save(int slot, int frames, char* out) const {
  ForEachRun(slot, frames, [&](const float* run, int64_t count) {
    std::memcpy(out, run, sizeof(float) * count);
    out += sizeof(float) * count;
  });
}

bool Rings::Restore(int slot, int frames, const char* saved) const {
  uint32_t broken = 0;
  ForEachRun(slot, frames, [&](float* run, int64_t count) {
    std::memcpy(run, saved, sizeof(float) * count);
    saved += sizeof(float) * count;
    // In whole numbers, so that the compiler makes vectors of it: the lane waits for this.
    constexpr uint32_t kExponent = 0x7f800000;
    for (int64_t i = 0; i < count; ++i) {
      broken |= (std::bit_cast<uint32_t>(run[i]) & kExponent) == kExponent ? 1 : 0;
    }
  });
  return broken == 0;
}

}  // namespace firstbyte::state_dit

#include "model/world/state_dit/rings.h"

#include <cstring>

namespace firstbyte::state_dit {

Rings::Rings(const DitConfig& c, int slots)
    : RingMemory(c),
      layers_(c.layers),
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

absl::Status Rings::Save(int slot, int frames, char* out) const {
  ForEachRun(slot, frames, [&](const float* run, int64_t count) {
    std::memcpy(out, run, sizeof(float) * count);
    out += sizeof(float) * count;
  });
  return absl::OkStatus();
}

absl::Status Rings::Restore(int slot, int frames, const char* saved) const {
  ForEachRun(slot, frames, [&](float* run, int64_t count) {
    std::memcpy(run, saved, sizeof(float) * count);
    saved += sizeof(float) * count;
  });
  return absl::OkStatus();
}

}  // namespace firstbyte::state_dit

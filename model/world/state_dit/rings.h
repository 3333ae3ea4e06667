// Keys and values of the last `window` frames of each session, as the DiT's attention reads them.
//
// A session's frames lie in places 0, 1, ... window - 1, then from 0 again, and never move. The
// frame being made needs a place of its own while the ring is full, because it still sees the
// oldest: that is the tail, place `window`. Made once for a lane; not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "model/nn/tensor.h"
#include "model/world/state_dit/config.h"

namespace firstbyte::state_dit {

// Where a session's ring stands.
struct RingIndex {
  int64_t committed = 0;  // frames written since the ring was last empty

  int valid(int window) const { return static_cast<int>(std::min<int64_t>(committed, window)); }
  // Place of the next frame, once it is committed.
  int next(int window) const { return static_cast<int>(committed % window); }
};

// A lane's rings as far as saving a session goes, wherever they are. The bytes are the floats of
// the first `frames` places, layer by layer: keys [heads, 64, tokens], values [heads, tokens, 64].
class RingMemory {
 public:
  static constexpr int kHeadDim = 64;

  explicit RingMemory(const DitConfig& config)
      : frame_bytes_(int64_t{8} * config.layers * config.heads * kHeadDim * kTokens) {}
  virtual ~RingMemory() = default;

  int64_t SavedBytes(int frames) const { return frame_bytes_ * frames; }
  // The errors are those of where they are: there are none on the CPU.
  virtual absl::Status Save(int slot, int frames, char* out) const = 0;
  virtual absl::Status Restore(int slot, int frames, const char* saved) const = 0;

 private:
  const int64_t frame_bytes_;
};

class Rings : public RingMemory {
 public:
  Rings(const DitConfig& config, int slots);

  float* keys(int slot, int layer) const { return data_.data() + Offset(slot, layer, 0); }
  float* values(int slot, int layer) const { return data_.data() + Offset(slot, layer, 1); }
  int capacity() const { return capacity_; }  // tokens of a ring, with the tail and padding
  int layers() const { return layers_; }

  // Moves the tail's frame to `place`, in one layer.
  void TakeTail(int slot, int layer, int place) const;

  absl::Status Save(int slot, int frames, char* out) const override;
  absl::Status Restore(int slot, int frames, const char* saved) const override;

  int64_t slot_bytes() const { return int64_t{8} * layers_ * ring_; }

 private:
  // Calls visit(floats, count) for every run of memory of the first `frames` places.
  template <typename Visit>
  void ForEachRun(int slot, int frames, Visit visit) const;
  int64_t Offset(int slot, int layer, int which) const {
    return ((static_cast<int64_t>(slot) * layers_ + layer) * 2 + which) * ring_;
  }

  int layers_, heads_, window_, capacity_;
  int64_t ring_;     // floats of the keys of one layer
  nn::Tensor data_;  // [slots, layers, 2]: keys [heads, 64, capacity], values [heads, capacity, 64]
};

}  // namespace firstbyte::state_dit

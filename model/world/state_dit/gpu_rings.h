// The rings of a GpuDit as bytes of saved sessions, and back: the same bytes as those of the CPU's
// Rings, so a session saved on either goes on on the other. Rings of half floats are saved as the
// floats that they are, and take the nearest of those they are given.
//
// Used by their lane's thread only; errors are those of cuda/gpu.h.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/cuda/gpu.h"
#include "model/world/state_dit/gpu_dit.h"
#include "model/world/state_dit/rings.h"

namespace firstbyte::state_dit {

class GpuRings : public RingMemory {
 public:
  // `gpu` and `dit` outlive it.
  static absl::StatusOr<std::unique_ptr<GpuRings>> Create(cuda::Gpu* gpu, const DitConfig& config,
                                                          const GpuDit* dit);
  ~GpuRings() override;  // waits for what was restored last

  // Waits for no step but those of Queue::kMedia: of a session that is saved, none is under way.
  absl::Status Save(int slot, int frames, char* out) const override;
  // Returns before the device has it; steps that are submitted from now on find it there.
  absl::Status Restore(int slot, int frames, const char* saved) const override;

 private:
  GpuRings(cuda::Gpu* gpu, const DitConfig& config, const GpuDit* dit);

  // Calls visit(device, staged) for the keys, then the values, of each layer of a slot:
  // array_bytes_ of [heads, capacity, 64].
  template <typename Visit>
  absl::Status ForEachArray(int slot, Visit visit) const;
  // Between the staged arrays and what is saved of the first `tokens`.
  template <typename T>
  void Gather(int tokens, char* out) const;
  template <typename T>
  void Spread(int tokens, const char* saved) const;

  cuda::Gpu* const gpu_;
  const GpuDit* const dit_;
  const int layers_, heads_;
  const int64_t head_elements_, array_bytes_;
  cuda::PinnedArray<char> staged_;  // one slot's; free when `restored_` is
  cuda::OwnedEvent restored_, saved_;
};

}  // namespace firstbyte::state_dit

// The memory of a lane's worlds on a GPU: for each layer the frames that it keeps of every slot.
//
// A ring has one place more than ring.h's for the frame at hand, which lies where Ring::Here()
// says. T is float or cuda::Bf16. Used by its lane's thread only; errors are those of cuda/gpu.h.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/cuda/gpu.h"
#include "model/world/waypoint/config.h"

namespace firstbyte::waypoint {

template <typename T>
class GpuRings {
 public:
  // Both [slots, kv_heads, capacity, head_dim].
  struct Layer {
    int capacity = 0;  // tokens
    cuda::DeviceArray<T> keys, values;
  };

  GpuRings() = default;
  // `gpu` outlives it.
  static absl::StatusOr<GpuRings> Create(cuda::Gpu* gpu, const Config& config, int slots);

  const Layer& layer(int index) const { return layers_[index]; }

  // A slot's frames as the CPU's cache has them, in the order of saved_world.h. What could not be
  // copied is told by Finish(), which belongs behind the last frame.
  class Copy {
   public:
    // `rings` must outlive it; no step of the slot is under way.
    Copy(const GpuRings& rings, int slot);

    const float* Read(int layer, int place);
    void Write(int layer, int place, const float* frame);
    absl::Status Finish();

   private:
    void Turn(int layer, bool read);  // to another layer, whose numbers are then here
    void PutBack();                   // those of the layer at hand, if they were written to

    const GpuRings& rings_;
    const int slot_;
    int layer_ = -1;
    bool written_ = false;
    std::vector<float> keys_, values_, frame_;  // of the layer at hand; a frame
    absl::Status status_;
  };

 private:
  cuda::Gpu* gpu_ = nullptr;
  Config config_{};
  std::vector<Layer> layers_;
};

extern template class GpuRings<float>;
extern template class GpuRings<cuda::Bf16>;

}  // namespace firstbyte::waypoint

// How large a lane of a GPU is.
#pragma once

#include "model/cuda/gpu_stage.h"

namespace firstbyte::waypoint {

struct GpuSize {
  int slots, max_batch;
  cuda::GraphMode mode = cuda::GraphMode::kGraphs;
  bool less_precise = false;  // T = float only: products in TF32
};

}  // namespace firstbyte::waypoint

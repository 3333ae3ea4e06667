// Worlds of the Waypoint-1.5 layout on a GPU, where two steps may be under way: the transformer and
// the decoder are there (gpu_dit.h, gpu_taehv.h); noise, Euler steps and first pictures are made on
// the CPU. See waypoint.h.
//
// What is saved there can be opened here and the other way round, and goes on with pictures that
// are within rounding of what they would have been.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "model/cuda/gpu_options.h"
#include "model/world/waypoint/waypoint.h"

namespace firstbyte::waypoint {

// What a GPU does at once, where nobody says otherwise; the registry takes fewer slots where they
// do not fit.
struct GpuLaneSize : LaneSize {
  GpuLaneSize() : LaneSize{.slots = 16, .max_batch = 4} {}
};

struct GpuWaypoint {
  static constexpr char kFamily[] = "waypoint-1.5";
  // In bfloat16 activations and memory are, too.
  static constexpr cuda::Number kNumbers[] = {cuda::Number::kF32, cuda::Number::kTf32,
                                              cuda::Number::kBf16};

  // As Waypoint::Describe().
  static ModelInfo Describe(const Config& config, const LaneSize& size);
  // `checkpoint` was loaded from `folder`, whose weights are read again. Errors are those of
  // cuda/gpu.h and of a damaged folder.
  static absl::StatusOr<std::unique_ptr<Model>> Create(std::shared_ptr<const Checkpoint> checkpoint,
                                                       const std::string& folder,
                                                       std::unique_ptr<cuda::Gpu> gpu,
                                                       const LaneSize& size,
                                                       const cuda::GpuOptions& options);
};

}  // namespace firstbyte::waypoint

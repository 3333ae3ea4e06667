// How a model is opened on GPUs: where its lanes are, and in what numbers it multiplies.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "model/cuda/gpu.h"
#include "model/cuda/gpu_stage.h"

namespace firstbyte::cuda {

struct GpuOptions {
  const PluginTable* plugin = nullptr;  // outlives every model
  std::vector<int> gpus = {0};          // lane i is on gpus[i % gpus.size()]
  GraphMode mode = GraphMode::kGraphs;
  Number number = Number::kF32;  // of products

  int gpu_of(int lane) const { return gpus[lane % gpus.size()]; }
};

// A device of its own for a lane's copy of a model. Errors are OpenDevice()'s.
absl::StatusOr<std::unique_ptr<Gpu>> OpenGpu(const GpuOptions& options, int lane);

// How many slots, at most `wanted` and at least one, three quarters of what is free on each GPU now
// have room for; the rest is for weights, workspaces and graphs. Lanes on one GPU share it.
absl::StatusOr<int> SlotsWithRoom(const GpuOptions& options, int lanes, int64_t slot_bytes,
                                  int wanted);

// "fp32", "tf32", "fp16", "bf16", and back.
absl::string_view NumberName(Number number);
std::optional<Number> NumberNamed(absl::string_view name);

// kUnimplemented (NOT_SUPPORTED) says what `family` has, when that is not `number`.
absl::Status RequireNumber(Number number, absl::Span<const Number> has, absl::string_view family);

}  // namespace firstbyte::cuda

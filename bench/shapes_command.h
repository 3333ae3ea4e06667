// firstbyte-bench shapes: transformers of published sizes on a GPU, as a table and as JSON.
#pragma once

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "model/cuda/gpu.h"

namespace firstbyte {

struct ShapesOptions {
  std::string device = "cuda", plugin, json, mode = "both", number = "bf16";
  std::vector<std::string> shapes = {"llama-3.2-3b"};
  int slots = 0, context = 0;  // 0: the shape's
  int steps = 100, warmup = 10;
};

void AddShapesOptions(CLI::App* command, ShapesOptions* options);

// Opens the GPU and runs there. Returns the exit code: 2 where there is no such GPU.
int RunShapes(const ShapesOptions& options);
// The same on a GPU that is open.
int RunShapesOn(cuda::Gpu* gpu, const ShapesOptions& options);

}  // namespace firstbyte

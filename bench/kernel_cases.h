// The embedded voice's kernels in the shapes and from the cache levels in which its steps run them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/roofline.h"
#include "model/kernels/kernels.h"

namespace firstbyte {

struct KernelCase {
  std::string name;           // "linear qkv 256->768"
  int rows = 0;               // rows of the batch, mel frames or samples
  Demand demand;              // of one call
  std::function<void()> run;  // one call; the next finds its weights as a step would
};

// The cases own their memory. `table` must outlive them.
std::vector<KernelCase> VoiceKernelCases(const kernels::KernelTable& table);

}  // namespace firstbyte

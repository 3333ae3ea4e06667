// What this machine can do, measured in the run that uses it: the roofs a kernel is held against.
//
// A kernel that needs so many operations and so many bytes cannot be faster than either allows; its
// share of the slower one is its place under the roofline.
#pragma once

#include <cstdint>

#include "model/kernels/kernels.h"

namespace firstbyte {

struct Roofs {
  double gflops = 0;        // best packed product of one core, in the kernels' instruction set
  double gflops_both = 0;   // two threads at once, their sum
  double sgemm_gflops = 0;  // LibTorch's product of two large matrices, one core
  // Read bandwidth of one core, GB/s, of a working set that fits each level.
  double l1 = 0, l2 = 0, l3 = 0, memory = 0;
};

// Takes about a second.
Roofs MeasureRoofs(const kernels::KernelTable& table);

// What a kernel call must do at least.
struct Demand {
  double flops = 0;
  double bytes = 0;         // that it reads and writes
  int64_t working_set = 1;  // bytes it comes back to: says which level they come from
};

struct Bound {
  double seconds = 0;     // no call can be faster
  const char* name = "";  // "compute", "L1", "L2", "L3" or "memory"
};
Bound BoundOf(const Demand& demand, const Roofs& roofs);

}  // namespace firstbyte

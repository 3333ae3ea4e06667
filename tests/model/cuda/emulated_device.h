// A GPU without a GPU: the plugin's table on the host, for tests of what lies above it.
//
// It is as late as a device may be: a queue runs nothing until the host waits for it, or another
// queue that is waited for follows it. So a host that reads a result too early sees an old one, and
// one that writes over an input too early changes the step. Device 0 runs the threads of a block
// forwards, device 1 backwards. Memory is as many bytes as asked for, so that AddressSanitizer sees
// what lies beyond.
#pragma once

#include <cstdint>
#include <limits>

#include "model/cuda/plugin.h"

namespace firstbyte::cuda {

const PluginTable& EmulatedPlugin();

// What a test may set on an open device, and what it may ask.
struct Emulation {
  int64_t free_bytes = int64_t{1} << 30;
  int64_t steps_to_live = std::numeric_limits<int64_t>::max();  // the device is lost after so many
  // Counted: kernels, products and copies that ran, launches of graphs, and what is not freed yet.
  int64_t steps = 0, launches = 0, alive = 0;
};
Emulation& EmulationOf(Device* device);

}  // namespace firstbyte::cuda

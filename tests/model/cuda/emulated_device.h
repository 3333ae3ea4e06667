// A GPU without a GPU: the plugin's table on the host, for tests of what lies above it.
//
// It is as late as a device may be: a queue runs nothing until the host waits for it, or another
// queue that is waited for follows it. So a host that reads a result too early sees an old one, and
// one that writes over an input too early changes the step. Device 0 runs the threads of a block
// forwards, device 1 backwards. Memory is as many bytes as asked for, so that AddressSanitizer sees
// what lies beyond.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <vector>

#include "model/cuda/plugin.h"

namespace firstbyte::cuda {

const PluginTable& EmulatedPlugin();

// What a test may set on an open device, and what it may ask; atomics from any thread.
struct Emulation {
  static constexpr int64_t kFreeBytes = int64_t{1} << 30;

  int64_t free_bytes = kFreeBytes;
  // The device is lost after so many.
  std::atomic<int64_t> steps_to_live = std::numeric_limits<int64_t>::max();
  // Counted: kernels, products and copies that ran, launches of graphs, and what is not freed yet.
  std::atomic<int64_t> steps = 0;
  int64_t launches = 0, alive = 0;
};
Emulation& EmulationOf(Device* device);

// For tests whose devices are opened by something else; any thread. Those that are open, in the
// order in which they were opened, and what those that will be have.
std::vector<Device*> OpenEmulatedDevices();
void SetEmulatedFreeBytes(int64_t bytes);

}  // namespace firstbyte::cuda

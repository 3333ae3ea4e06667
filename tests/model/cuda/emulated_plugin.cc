// The emulated device as a plugin, for tests of the whole program.
#include "tests/model/cuda/emulated_device.h"

extern "C" __attribute__((visibility("default"))) const firstbyte::cuda::PluginTable*
firstbyte_cuda_plugin() {
  return &firstbyte::cuda::EmulatedPlugin();
}

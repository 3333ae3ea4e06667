#include "tests/model/cuda/emulated_device.h"
#include "tests/model/cuda/test_device.h"

namespace firstbyte::cuda {

// A sanitizer takes minutes for one order of threads; what it looks for is in either.
std::vector<std::string> ExecutorNames() {
#ifdef FIRSTBYTE_ONE_ORDER
  return {"Backward"};
#else
  return {"Forward", "Backward"};
#endif
}

std::optional<TestDevice> OpenTestDevice(const std::string& name, std::string*) {
  const PluginTable& plugin = EmulatedPlugin();
  return TestDevice{&plugin, *OpenDevice(plugin, name == "Forward" ? 0 : 1)};
}

}  // namespace firstbyte::cuda

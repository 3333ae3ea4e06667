#include "tests/model/cuda/emulated_device.h"
#include "tests/model/cuda/test_device.h"

namespace firstbyte::cuda {

std::vector<std::string> ExecutorNames() { return {"Forward", "Backward"}; }

std::optional<TestDevice> OpenTestDevice(const std::string& name, std::string*) {
  const PluginTable& plugin = EmulatedPlugin();
  return TestDevice{&plugin, *OpenDevice(plugin, name == "Forward" ? 0 : 1)};
}

}  // namespace firstbyte::cuda

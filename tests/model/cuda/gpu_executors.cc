#include <cstdlib>
#include <utility>

#include "model/cuda/plugin_loader.h"
#include "tests/model/cuda/test_device.h"

namespace firstbyte::cuda {

std::vector<std::string> ExecutorNames() { return {"Gpu"}; }

// Through the plugin, as the server would. FIRSTBYTE_CUDA_PLUGIN names one that lies elsewhere.
std::optional<TestDevice> OpenTestDevice(const std::string&, std::string* why) {
  const char* named = std::getenv("FIRSTBYTE_CUDA_PLUGIN");
  auto fail = [why](const absl::Status& status) {
    *why = "no GPU to run the kernels on: " + std::string(status.message());
    return std::nullopt;
  };
  absl::StatusOr<std::string> path =
      FindPlugin(named == nullptr ? "" : named, FIRSTBYTE_BINARY_DIR "/firstbyted");
  if (!path.ok()) return fail(path.status());
  absl::StatusOr<const PluginTable*> plugin = LoadPlugin(*path);
  if (!plugin.ok()) return fail(plugin.status());
  absl::StatusOr<DeviceHandle> device = OpenDevice(**plugin, 0);
  if (!device.ok()) return fail(device.status());
  return TestDevice{*plugin, *std::move(device)};
}

}  // namespace firstbyte::cuda

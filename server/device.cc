#include "server/device.h"

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/cuda/plugin_loader.h"

namespace firstbyte {

absl::Status CheckDevice(const Config& config, const std::string& binary) {
  const int gpu = GpuOf(config.device).value_or(-1);
  if (gpu < 0) return absl::OkStatus();
  absl::StatusOr<std::string> path = cuda::FindPlugin(config.cuda_plugin, binary);
  if (!path.ok()) return path.status();
  absl::StatusOr<const cuda::PluginTable*> plugin = cuda::LoadPlugin(*path);
  if (!plugin.ok()) return plugin.status();
  absl::StatusOr<cuda::DeviceHandle> device = cuda::OpenDevice(**plugin, gpu);
  if (!device.ok()) return device.status();
  cuda::DeviceInfo info{};
  cuda::Fault fault{};
  absl::Status status = cuda::StatusOf((*plugin)->info(device->get(), &info, &fault), fault);
  if (!status.ok()) return status;
  return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
               absl::StrCat("the GPU is ready (", info.name, "; plugin: ", (*plugin)->build,
                            "), but no model runs on it yet: use --device cpu"));
}

}  // namespace firstbyte

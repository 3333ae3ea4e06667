#include "server/device.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "model/cuda/plugin_loader.h"

namespace firstbyte {
namespace {

int IndexOf(absl::string_view device) {
  int index = 0;
  if (absl::ConsumePrefix(&device, "cuda:") && !absl::SimpleAtoi(device, &index)) return -1;
  return index;
}

}  // namespace

absl::Status CheckDevice(const Config& config, const std::string& binary) {
  if (config.device == "cpu") return absl::OkStatus();
  absl::StatusOr<std::string> path = cuda::FindPlugin(config.cuda_plugin, binary);
  if (!path.ok()) return path.status();
  absl::StatusOr<const cuda::PluginTable*> plugin = cuda::LoadPlugin(*path);
  if (!plugin.ok()) return plugin.status();
  absl::StatusOr<cuda::DeviceHandle> device = cuda::OpenDevice(**plugin, IndexOf(config.device));
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

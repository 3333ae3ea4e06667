#include "server/device.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/log.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

constexpr char kCpuNumbers[] = "fp32";

absl::Status NotOnCpu(const std::string& dtype) {
  return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
               absl::StrCat("on the CPU models run in ", kCpuNumbers, ", not in ", dtype,
                            ": leave --dtype out, or use --device cuda"));
}

absl::Status OrCpu(const absl::Status& status) {
  if (DetailOf(status).reason != "NO_GPU") return status;
  return Error(status.code(), DetailOf(status),
               absl::StrCat(status.message(), ", or use --device cpu"));
}

absl::Status Try(const cuda::GpuOptions& options, int lane) {
  absl::StatusOr<std::unique_ptr<cuda::Gpu>> gpu = cuda::OpenGpu(options, lane);
  if (!gpu.ok()) return gpu.status();
  absl::StatusOr<cuda::DeviceInfo> info = (*gpu)->Info();
  if (!info.ok()) return info.status();
  LogInfo("gpu", {{"gpu", options.gpu_of(lane)},
                  {"device", info->name},
                  {"free_bytes", info->free_bytes},
                  {"total_bytes", info->total_bytes},
                  {"plugin", options.plugin->build}});
  return absl::OkStatus();
}

absl::StatusOr<cuda::GpuOptions> Open(const Config& config, const std::vector<int>& gpus,
                                      const std::string& binary) {
  absl::StatusOr<std::string> path = cuda::FindPlugin(config.cuda_plugin, binary);
  if (!path.ok()) return path.status();
  absl::StatusOr<const cuda::PluginTable*> plugin = cuda::LoadPlugin(*path);
  if (!plugin.ok()) return plugin.status();
  cuda::GpuOptions options{.plugin = *plugin, .gpus = gpus};
  if (config.mode == "eager") options.mode = cuda::GraphMode::kEager;
  options.number = cuda::NumberNamed(config.dtype).value_or(options.number);
  for (size_t i = 0; i < gpus.size(); ++i) {
    absl::Status tried = Try(options, static_cast<int>(i));
    if (!tried.ok()) return tried;
  }
  return options;
}

}  // namespace

absl::StatusOr<std::optional<cuda::GpuOptions>> FindGpus(const Config& config,
                                                         const std::string& binary) {
  const std::vector<int> gpus = GpusOf(config.device).value_or(std::vector<int>());
  if (gpus.empty()) {
    if (config.dtype != kCpuNumbers) return NotOnCpu(config.dtype);
    return std::nullopt;
  }
  absl::StatusOr<cuda::GpuOptions> options = Open(config, gpus, binary);
  if (!options.ok()) return OrCpu(options.status());
  return *std::move(options);
}

}  // namespace firstbyte

#include "model/cuda/plugin_loader.h"

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/error.h"

namespace firstbyte::cuda {
namespace {

namespace fs = std::filesystem;

constexpr char kFile[] = "libfirstbyte_cuda.so";

absl::Status Unusable(absl::string_view what) {
  return Error(absl::StatusCode::kFailedPrecondition, "NO_GPU", what);
}

absl::Status Missing(absl::string_view what) {
  return Error(absl::StatusCode::kNotFound, "NO_GPU", what);
}

}  // namespace

absl::StatusOr<std::string> FindPlugin(const std::string& named, const std::string& binary) {
  std::error_code error;
  if (!named.empty()) {
    if (fs::exists(named, error)) return fs::absolute(named, error).string();
    return Missing(absl::StrCat("no CUDA plugin at ", named, ": correct --cuda-plugin"));
  }
  const fs::path bin = fs::weakly_canonical(binary, error).parent_path();
  const fs::path beside = bin / kFile, installed = bin.parent_path() / "lib/firstbyte" / kFile;
  if (fs::exists(beside, error)) return beside.string();
  if (fs::exists(installed, error)) return installed.string();
  return Missing(absl::StrCat("no CUDA plugin: neither ", beside.string(), " nor ",
                              installed.string(),
                              "; build it with the preset cuda, name one with --cuda-plugin"));
}

absl::StatusOr<const PluginTable*> LoadPlugin(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return Unusable(absl::StrCat("the CUDA plugin cannot be loaded: ", dlerror()));
  }
  const auto entry = reinterpret_cast<PluginEntry>(dlsym(library, kPluginSymbol));
  if (entry == nullptr) {
    return Unusable(absl::StrCat(path, " is no CUDA plugin of firstbyte: correct --cuda-plugin"));
  }
  const PluginTable* table = entry();
  if (table->abi != kPluginAbi) {
    return Unusable(absl::StrCat(path, " has interface ", table->abi, ", this server wants ",
                                 kPluginAbi, ": take the plugin that was built with it"));
  }
  return table;
}

absl::StatusOr<DeviceHandle> OpenDevice(const PluginTable& plugin, int index) {
  Device* device = nullptr;
  Fault fault{};
  const Code code = plugin.open(index, &device, &fault);
  if (code != Code::kOk) return StatusOf(code, fault);
  return DeviceHandle(device, CloseDevice{&plugin});
}

absl::Status StatusOf(Code code, const Fault& fault) {
  const auto* end = std::find(std::begin(fault.text), std::end(fault.text), '\0');
  const absl::string_view text(fault.text, end - fault.text);
  switch (code) {
    case Code::kOk:
      return absl::OkStatus();
    case Code::kNoDriver:
    case Code::kNoDevice:
    case Code::kNoLibrary:
      return Unusable(text);
    case Code::kOutOfMemory:
      return Error(absl::StatusCode::kResourceExhausted, "GPU_MEMORY", text);
    case Code::kBadStep:
      return Error(absl::StatusCode::kInternal, "BAD_STEP", text);
    case Code::kLost:
      break;
  }
  return Error(absl::StatusCode::kUnavailable, "DEVICE_LOST", text);
}

}  // namespace firstbyte::cuda

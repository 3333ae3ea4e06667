// Finds and opens libfirstbyte_cuda.so, and says in one line what is in the way.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "model/cuda/plugin.h"

namespace firstbyte::cuda {

// The plugin for the program at `binary`: `named` if it is not empty, else the one beside the
// program, else the one in ../lib/firstbyte. kNotFound names the places.
absl::StatusOr<std::string> FindPlugin(const std::string& named, const std::string& binary);

// Opens the plugin at `path`, which then stays loaded: CUDA cannot be unloaded safely. A file that
// is no plugin, or one of another interface, is kFailedPrecondition. Any thread.
absl::StatusOr<const PluginTable*> LoadPlugin(const std::string& path);

struct CloseDevice {
  const PluginTable* plugin;
  void operator()(Device* device) const { plugin->close(device); }
};
using DeviceHandle = std::unique_ptr<Device, CloseDevice>;

// GPU `index` of the machine; the calling thread is the one that uses it. No driver and no such
// GPU are kFailedPrecondition, too little memory kResourceExhausted.
absl::StatusOr<DeviceHandle> OpenDevice(const PluginTable& plugin, int index);

// What a function of the table returned, as a status.
absl::Status StatusOf(Code code, const Fault& fault);

}  // namespace firstbyte::cuda

// A device that a test runs on: an emulated GPU or a real one. The tests do not know which.
//
// A test links emulated_cuda or gpu_executors, and that says which there are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/cuda/plugin_loader.h"

namespace firstbyte::cuda {

struct TestDevice {
  const PluginTable* plugin;
  DeviceHandle device;
};

// What this program can run on, by name.
std::vector<std::string> ExecutorNames();
// nullopt: it cannot, for the reason in `why`.
std::optional<TestDevice> OpenTestDevice(const std::string& name, std::string* why);

}  // namespace firstbyte::cuda

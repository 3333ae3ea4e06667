// A libfirstbyte_cuda.so without CUDA: FIRSTBYTE_FAKE_CUDA says which, for tests of what the server
// makes of it.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "model/cuda/plugin.h"

namespace firstbyte::cuda {

struct Device {};

namespace {

Device device;

bool Fakes(const char* what) {
  const char* fake = std::getenv("FIRSTBYTE_FAKE_CUDA");
  return fake != nullptr && std::strcmp(fake, what) == 0;
}

Code Open(int index, Device** opened, Fault* fault) {
  if (Fakes("no-driver")) {
    std::snprintf(fault->text, sizeof(fault->text), "no NVIDIA driver here");
    return Code::kNoDriver;
  }
  if (Fakes("no-library")) {
    std::snprintf(fault->text, sizeof(fault->text), "libcublasLt.so.13 is missing");
    return Code::kNoLibrary;
  }
  if (Fakes("long-fault")) {  // of all bytes, none is the end
    std::memset(fault->text, 'x', sizeof(fault->text));
    return Code::kLost;
  }
  if (index > 0) {
    std::snprintf(fault->text, sizeof(fault->text), "no GPU %d: there is 1", index);
    return Code::kNoDevice;
  }
  *opened = &device;
  return Code::kOk;
}

Code Info(Device*, DeviceInfo* info, Fault*) {
  std::snprintf(info->name, sizeof(info->name), "Fake GPU");
  return Code::kOk;
}

PluginTable table = {.build = "nothing", .open = Open, .close = [](Device*) {}, .info = Info};

}  // namespace
}  // namespace firstbyte::cuda

extern "C" const firstbyte::cuda::PluginTable* firstbyte_cuda_plugin() {
  using firstbyte::cuda::kPluginAbi;
  firstbyte::cuda::table.abi = firstbyte::cuda::Fakes("other-abi") ? kPluginAbi + 1 : kPluginAbi;
  return &firstbyte::cuda::table;
}

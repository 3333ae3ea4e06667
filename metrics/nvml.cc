#include "metrics/nvml.h"

#include <dlfcn.h>

#include <algorithm>
#include <utility>

namespace firstbyte {
namespace {

// Of nvml.h, which is not needed to build this: NVIDIA keeps the binary interface.
constexpr int kSuccess = 0, kGpuTemperature = 0, kSmClock = 1;
constexpr unsigned kUuidBytes = 96;

template <typename Function>
bool Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

}  // namespace

struct Nvml::Functions {
  using Result = int;
  using Device = struct nvmlDevice_st*;
  struct Utilization {
    unsigned gpu, memory;  // percent
  };
  struct Memory {
    unsigned long long total, free, used;  // NOLINT(google-runtime-int): the library's own types
  };

  Result (*init)();
  Result (*shutdown)();
  Result (*count)(unsigned*);
  Result (*by_index)(unsigned, Device*);
  Result (*uuid)(Device, char*, unsigned);
  Result (*utilization)(Device, Utilization*);
  Result (*memory)(Device, Memory*);
  Result (*temperature)(Device, int, unsigned*);
  Result (*power)(Device, unsigned*);       // milliwatts
  Result (*clock)(Device, int, unsigned*);  // MHz

  bool FindAll(void* library) {
    return Find(library, "nvmlInit_v2", &init) && Find(library, "nvmlShutdown", &shutdown) &&
           Find(library, "nvmlDeviceGetCount_v2", &count) &&
           Find(library, "nvmlDeviceGetHandleByIndex_v2", &by_index) &&
           Find(library, "nvmlDeviceGetUUID", &uuid) &&
           Find(library, "nvmlDeviceGetUtilizationRates", &utilization) &&
           Find(library, "nvmlDeviceGetMemoryInfo", &memory) &&
           Find(library, "nvmlDeviceGetTemperature", &temperature) &&
           Find(library, "nvmlDeviceGetPowerUsage", &power) &&
           Find(library, "nvmlDeviceGetClockInfo", &clock);
  }

  GpuUsage Read(int index, Device device) const {
    GpuUsage gpu{.index = index};
    char text[kUuidBytes] = {};
    Utilization rates{};
    Memory bytes{};
    unsigned number = 0;
    if (uuid(device, text, sizeof(text)) == kSuccess) gpu.uuid.assign(text, sizeof(text) - 1);
    gpu.uuid.resize(std::min(gpu.uuid.size(), gpu.uuid.find('\0')));
    if (utilization(device, &rates) == kSuccess) gpu.utilization = rates.gpu / 100.0;
    if (memory(device, &bytes) == kSuccess) {
      gpu.memory_used = static_cast<double>(bytes.used);
      gpu.memory_total = static_cast<double>(bytes.total);
    }
    if (temperature(device, kGpuTemperature, &number) == kSuccess) gpu.temperature = number;
    if (power(device, &number) == kSuccess) gpu.power = number / 1e3;
    if (clock(device, kSmClock, &number) == kSuccess) gpu.sm_clock = number * 1e6;
    return gpu;
  }
};

std::unique_ptr<Nvml> Nvml::Open(const std::string& library) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return nullptr;
  auto functions = std::make_unique<Functions>();
  if (!functions->FindAll(handle) || functions->init() != kSuccess) {
    dlclose(handle);
    return nullptr;
  }
  return std::unique_ptr<Nvml>(new Nvml(handle, std::move(functions)));
}

Nvml::Nvml(void* library, std::unique_ptr<const Functions> functions)
    : library_(library), nvml_(std::move(functions)) {}

Nvml::~Nvml() {
  nvml_->shutdown();
  dlclose(library_);
}

std::vector<GpuUsage> Nvml::Read() const {
  std::vector<GpuUsage> gpus;
  unsigned count = 0;
  if (nvml_->count(&count) != kSuccess) return gpus;
  for (int i = 0; i < std::min<int64_t>(count, kMaxGpus); ++i) {
    Functions::Device device = nullptr;
    if (nvml_->by_index(i, &device) == kSuccess) gpus.push_back(nvml_->Read(i, device));
  }
  return gpus;
}

}  // namespace firstbyte

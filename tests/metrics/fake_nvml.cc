// A libnvidia-ml with scripted values: two GPUs that differ in all they report.
#include "tests/metrics/fake_nvml.h"

#include <cstdio>

namespace {

constexpr int kInvalidArgument = 2;
int marks[64];  // handles point here

struct Utilization {
  unsigned gpu, memory;
};
struct Memory {
  unsigned long long total, free, used;
};

unsigned IndexOf(const void* device) { return static_cast<const int*>(device) - marks; }

}  // namespace

extern "C" {

FakeNvml fake_nvml;

int nvmlInit_v2() {
  if (fake_nvml.init == 0) ++fake_nvml.running;
  return fake_nvml.init;
}
int nvmlShutdown() {
  --fake_nvml.running;
  return 0;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = fake_nvml.gpus;
  return fake_nvml.count;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  if (index >= fake_nvml.gpus) return kInvalidArgument;
  *device = &marks[index];
  return index == 1 ? fake_nvml.handle_of_gpu_1 : 0;
}
int nvmlDeviceGetUUID(void* device, char* uuid, unsigned length) {
  std::snprintf(uuid, length, "GPU-%u", IndexOf(device));
  return 0;
}
int nvmlDeviceGetUtilizationRates(void* device, Utilization* rates) {
  *rates = {40 + IndexOf(device), 7};
  return fake_nvml.utilization;
}
int nvmlDeviceGetMemoryInfo(void* device, Memory* memory) {
  const unsigned long long used = (IndexOf(device) + 1ull) << 30, total = 80ull << 30;
  *memory = {total, total - used, used};
  if (IndexOf(device) == 0) ++fake_nvml.reads;
  return 0;
}
int nvmlDeviceGetTemperature(void* device, int sensor, unsigned* celsius) {
  *celsius = 50 + IndexOf(device);
  return sensor == 0 ? 0 : kInvalidArgument;
}
int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) {
  *milliwatts = 123'500;
  return IndexOf(device) == 1 ? fake_nvml.power_of_gpu_1 : 0;
}
int nvmlDeviceGetClockInfo(void*, int type, unsigned* megahertz) {
  *megahertz = 1980;
  return type == 1 ? 0 : kInvalidArgument;
}

}  // extern "C"

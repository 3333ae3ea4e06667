// libfirstbyte_cuda.so: the table of plugin.h. Nothing throws and nothing is global: a Device holds
// all there is.
#include <cuda_runtime.h>

#include <cstdarg>
#include <cstdio>
#include <memory>
#include <new>

#include "model/cuda/attend.h"
#include "model/cuda/heads.h"
#include "model/cuda/launch.cuh"
#include "model/cuda/modulate.h"
#include "model/cuda/plugin.h"
#include "model/cuda/ring.h"
#include "model/cuda/sample.h"

namespace firstbyte::cuda {

struct Device {
  int index;
  cudaStream_t stream;
};

namespace {

__attribute__((format(printf, 3, 4))) Code Fail(Code code, Fault* fault, const char* format, ...) {
  if (fault == nullptr) return code;
  va_list values;
  va_start(values, format);
  std::vsnprintf(fault->text, sizeof(fault->text), format, values);
  va_end(values);
  return code;
}

Code Check(cudaError_t error, Fault* fault) {
  if (error == cudaSuccess) return Code::kOk;
  const bool memory = error == cudaErrorMemoryAllocation;
  if (memory) cudaGetLastError();  // or the next launch would report it
  return Fail(memory ? Code::kOutOfMemory : Code::kLost, fault, "CUDA: %s",
              cudaGetErrorString(error));
}

Code CheckDriver(Fault* fault) {
  int driver = 0, wanted = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&wanted);
  if (driver == 0) {
    return Fail(Code::kNoDriver, fault,
                "no NVIDIA driver here: install it, give the container its GPU");
  }
  if (driver / 1000 >= wanted / 1000) return Code::kOk;
  return Fail(Code::kNoDriver, fault,
              "the NVIDIA driver is for CUDA %d.%d, the plugin needs %d.%d: update the driver",
              driver / 1000, driver % 1000 / 10, wanted / 1000, wanted % 1000 / 10);
}

Code CheckIndex(int index, Fault* fault) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess && error != cudaErrorNoDevice) {
    return Fail(Code::kNoDevice, fault, "the GPUs cannot be counted: %s",
                cudaGetErrorString(error));
  }
  if (count == 0) return Fail(Code::kNoDevice, fault, "no NVIDIA GPU can be seen here");
  if (index >= 0 && index < count) return Code::kOk;
  return Fail(Code::kNoDevice, fault, "no GPU %d: there %s %d, counted from 0", index,
              count == 1 ? "is" : "are", count);
}

// Whether the plugin has code for the current device.
Code CheckCode(int index, Fault* fault) {
  cudaFuncAttributes attributes;
  if (cudaFuncGetAttributes(&attributes, RunKernel<Advance>) == cudaSuccess) return Code::kOk;
  cudaGetLastError();
  int major = 0, minor = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, index);
  return Fail(
      Code::kNoDevice, fault,
      "GPU %d is of compute capability %d.%d, the plugin was built for " FIRSTBYTE_CUDA_BUILT_FOR
      ": build it with FIRSTBYTE_CUDA_ARCHITECTURES=%d%d",
      index, major, minor, major, minor);
}

Code Open(int index, Device** device, Fault* fault) {
  Code code = CheckDriver(fault);
  if (code == Code::kOk) code = CheckIndex(index, fault);
  if (code == Code::kOk) code = Check(cudaSetDevice(index), fault);
  if (code == Code::kOk) code = CheckCode(index, fault);
  if (code != Code::kOk) return code;
  std::unique_ptr<Device> opened(new (std::nothrow) Device{index, nullptr});
  if (opened == nullptr) return Fail(Code::kOutOfMemory, fault, "no memory");
  code = Check(cudaStreamCreateWithFlags(&opened->stream, cudaStreamNonBlocking), fault);
  if (code == Code::kOk) *device = opened.release();
  return code;
}

void Close(Device* device) {
  cudaStreamDestroy(device->stream);
  delete device;
}

Code Info(Device* device, DeviceInfo* info, Fault* fault) {
  cudaDeviceProp properties;
  Code code = Check(cudaGetDeviceProperties(&properties, device->index), fault);
  size_t free = 0, total = 0;
  if (code == Code::kOk) code = Check(cudaMemGetInfo(&free, &total), fault);
  if (code != Code::kOk) return code;
  std::snprintf(info->name, sizeof(info->name), "%s", properties.name);
  info->capability = properties.major * 10 + properties.minor;
  info->multiprocessors = properties.multiProcessorCount;
  info->free_bytes = static_cast<int64_t>(free);
  info->total_bytes = static_cast<int64_t>(total);
  return code;
}

Code Allocate(Device* device, int64_t bytes, void** memory, Fault* fault) {
  Code code = Check(cudaMalloc(memory, bytes), fault);
  if (code != Code::kOk) return code;
  return Check(cudaMemsetAsync(*memory, 0, bytes, device->stream), fault);
}

Code Release(Device*, void* memory, Fault* fault) { return Check(cudaFree(memory), fault); }

Code Wait(Device* device, Fault* fault) {
  return Check(cudaStreamSynchronize(device->stream), fault);
}

Code ToDevice(Device* device, void* to, const void* from, int64_t bytes, Fault* fault) {
  return Check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, device->stream), fault);
}

Code ToHost(Device* device, void* to, const void* from, int64_t bytes, Fault* fault) {
  const Code code =
      Check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, device->stream), fault);
  return code == Code::kOk ? Wait(device, fault) : code;
}

template <typename Kernel, typename Step>
Code Start(Device* device, const Step* step, Fault* fault) {
  const Kernel kernel{*step};
  if (!kernel.fits()) return Fail(Code::kBadStep, fault, "a kernel was given sizes it cannot take");
  return Check(Launch(kernel, device->stream), fault);
}

template <typename T>
Code Attend(Device* device, const AttendStep<T>* step, Fault* fault) {
  const Code code = Start<AttendSplit<T>>(device, step, fault);
  return code == Code::kOk ? Start<AttendCombine<T>>(device, step, fault) : code;
}

template <typename T>
constexpr TypedKernels<T> KernelsOf() {
  return {.attend = Attend<T>,
          .heads = Start<Heads<T>, HeadsStep<T>>,
          .modulate = Start<Modulate<T>, ModulateStep<T>>,
          .ring_write = Start<RingWrite<T>, RingWriteStep<T>>};
}

constexpr PluginTable kTable = {
    .abi = kPluginAbi,
    .build = "CUDA " FIRSTBYTE_CUDA_VERSION " for " FIRSTBYTE_CUDA_BUILT_FOR,
    .open = Open,
    .close = Close,
    .info = Info,
    .allocate = Allocate,
    .release = Release,
    .to_device = ToDevice,
    .to_host = ToHost,
    .wait = Wait,
    .f32 = KernelsOf<float>(),
    .bf16 = KernelsOf<Bf16>(),
    .advance = Start<Advance, AdvanceStep>,
    .sample = Start<Sample, SampleStep>};

}  // namespace
}  // namespace firstbyte::cuda

extern "C" __attribute__((visibility("default"))) const firstbyte::cuda::PluginTable*
firstbyte_cuda_plugin() {
  return &firstbyte::cuda::kTable;
}

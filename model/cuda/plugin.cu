// libfirstbyte_cuda.so: its kernels and the table of plugin.h. Nothing throws and nothing is
// global: a Device holds all there is.
#include <cuda_runtime.h>

#include "model/cuda/device.cuh"
#include "model/cuda/kernel_table.h"
#include "model/cuda/launch.cuh"

namespace firstbyte::cuda {
namespace {

struct OnDevice {
  template <typename Kernel>
  static Code Start(Device* device, Queue queue, const Kernel& kernel, Fault* fault) {
    const Code code = CheckTakes(device, queue, fault);
    return code == Code::kOk ? Check(Launch(kernel, device->stream(queue)), fault) : code;
  }
  static Code Refuse(Fault* fault, const char* why) {
    return Fail(Code::kBadStep, fault, "%s", why);
  }
};
using DeviceKernels = Kernels<OnDevice>;

constexpr PluginTable kTable = {
    .abi = kPluginAbi,
    .build = "CUDA " FIRSTBYTE_CUDA_VERSION " for " FIRSTBYTE_CUDA_BUILT_FOR,
    .find_libraries = FindLibraries,
    .open = Open,
    .close = Close,
    .info = Info,
    .allocate = Allocate,
    .release = Release,
    .pin = Pin,
    .unpin = Unpin,
    .to_device = ToDevice,
    .to_host = ToHost,
    .new_event = NewEvent,
    .free_event = FreeEvent,
    .mark = Mark,
    .follow = Follow,
    .wait_event = WaitEvent,
    .wait = Wait,
    .begin_graph = BeginGraph,
    .end_graph = EndGraph,
    .launch = LaunchGraph,
    .free_graph = FreeGraph,
    .new_product = NewProduct,
    .free_product = FreeProduct,
    .multiply = Multiply,
    .f32 = DeviceKernels::Typed<float>(),
    .bf16 = DeviceKernels::Typed<Bf16>(),
    .f16 = DeviceKernels::Typed<F16>(),
    .advance = DeviceKernels::kAdvance,
    .sample = DeviceKernels::kSample,
    .source_filter = DeviceKernels::kSourceFilter};

}  // namespace

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

Code FinishProduct(Device* device, Queue queue, const ProductShape& shape, const ProductStep& step,
                   Fault* fault) {
  return DeviceKernels::FinishProduct(device, queue, shape, step, fault);
}

}  // namespace firstbyte::cuda

extern "C" __attribute__((visibility("default"))) const firstbyte::cuda::PluginTable*
firstbyte_cuda_plugin() {
  return &firstbyte::cuda::kTable;
}

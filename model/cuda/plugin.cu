// libfirstbyte_cuda.so: its kernels and the table of plugin.h. Nothing throws and nothing is
// global: a Device holds all there is.
#include <cuda_runtime.h>

#include "model/cuda/attend.h"
#include "model/cuda/device.cuh"
#include "model/cuda/heads.h"
#include "model/cuda/launch.cuh"
#include "model/cuda/modulate.h"
#include "model/cuda/ring.h"
#include "model/cuda/sample.h"

namespace firstbyte::cuda {
namespace {

template <typename Kernel, typename Step>
Code Start(Device* device, Queue queue, const Step* step, Fault* fault) {
  const Code code = CheckTakes(device, queue, fault);
  if (code != Code::kOk) return code;
  const Kernel kernel{*step};
  if (!kernel.fits()) return Fail(Code::kBadStep, fault, "a kernel was given sizes it cannot take");
  return Check(Launch(kernel, device->stream(queue)), fault);
}

template <typename T>
Code Attend(Device* device, Queue queue, const AttendStep<T>* step, Fault* fault) {
  const Code code = Start<AttendSplit<T>>(device, queue, step, fault);
  return code == Code::kOk ? Start<AttendCombine<T>>(device, queue, step, fault) : code;
}

template <typename T>
constexpr TypedKernels<T> KernelsOf() {
  return {.attend = Attend<T>,
          .heads = Start<Heads<T>, HeadsStep<T>>,
          .modulate = Start<Modulate<T>, ModulateStep<T>>,
          .ring_write = Start<RingWrite<T>, RingWriteStep<T>>,
          .activate = Start<Activate<T>, ActivateStep<T>>};
}

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
    .f32 = KernelsOf<float>(),
    .bf16 = KernelsOf<Bf16>(),
    .advance = Start<Advance, AdvanceStep>,
    .sample = Start<Sample, SampleStep>};

template <typename T>
Code ActivateAs(Device* device, Queue queue, const ProductShape& shape, const ProductStep& step,
                Fault* fault) {
  const ActivateStep<T> activate = {static_cast<T*>(step.y), shape.y_stride, step.rows, shape.n,
                                    shape.activation};
  return Start<Activate<T>>(device, queue, &activate, fault);
}

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

Code ActivateProduct(Device* device, Queue queue, const ProductShape& shape,
                     const ProductStep& step, Fault* fault) {
  if (shape.y_bytes() == 4) return ActivateAs<float>(device, queue, shape, step, fault);
  if (shape.number == Number::kF16) return ActivateAs<F16>(device, queue, shape, step, fault);
  return ActivateAs<Bf16>(device, queue, shape, step, fault);
}

}  // namespace firstbyte::cuda

extern "C" __attribute__((visibility("default"))) const firstbyte::cuda::PluginTable*
firstbyte_cuda_plugin() {
  return &firstbyte::cuda::kTable;
}

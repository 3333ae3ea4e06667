// Runs a kernel of grid.h on the device.
#pragma once

#include <cuda_runtime.h>

#include "model/cuda/grid.h"

namespace firstbyte::cuda {

class DeviceBlock {
 public:
  template <typename T>
  class PerThread {
   public:
    __device__ T& operator[](int) { return value_; }

   private:
    T value_{};
  };

  template <typename F>
  __device__ void Each(F f) {
    f(static_cast<int>(threadIdx.x));
    __syncthreads();
  }

  __device__ void WarpSum(PerThread<float>& values) {
    float& v = values[0];
    for (int lane = kWarp / 2; lane > 0; lane /= 2) v = v + __shfl_xor_sync(~0u, v, lane);
  }
  __device__ void WarpMax(PerThread<float>& values) {
    float& v = values[0];
    for (int lane = kWarp / 2; lane > 0; lane /= 2) v = Max(v, __shfl_xor_sync(~0u, v, lane));
  }

  __device__ static void Add(uint32_t* to, uint32_t value) { atomicAdd(to, value); }
  __device__ static void Add(uint64_t* to, uint64_t value) {
    static_assert(sizeof(unsigned long long) == sizeof(uint64_t));
    atomicAdd(reinterpret_cast<unsigned long long*>(to), value);
  }

  const Grid at{static_cast<int>(blockIdx.x), static_cast<int>(blockIdx.y),
                static_cast<int>(blockIdx.z)};
};

template <typename Kernel>
__global__ void __launch_bounds__(Kernel::kThreads) RunKernel(const Kernel kernel) {
  __shared__ typename Kernel::Shared shared;
  DeviceBlock block;
  kernel.Run(block, shared);
}

// Asynchronous, in the order of `stream`; may be captured into a graph.
template <typename Kernel>
cudaError_t Launch(const Kernel& kernel, cudaStream_t stream) {
  static_assert(Kernel::kThreads % kWarp == 0 && Kernel::kThreads <= kMaxThreads);
  const Grid grid = kernel.grid();
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return cudaSuccess;
  RunKernel<<<dim3(grid.x, grid.y, grid.z), Kernel::kThreads, 0, stream>>>(kernel);
  return cudaPeekAtLastError();
}

}  // namespace firstbyte::cuda

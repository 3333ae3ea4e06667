// What the plugin's functions share: a device, and codes made of CUDA's errors.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <optional>

#include "model/cuda/plugin.h"

namespace firstbyte::cuda {

struct Device {
  int index = 0;
  cudaStream_t queues[kQueues] = {};
  cublasLtHandle_t products = nullptr;
  std::optional<Queue> recording = {};

  cudaStream_t stream(Queue queue) const { return queues[static_cast<int>(queue)]; }
};

// Writes the fault, if there is a place for it, and returns `code`.
__attribute__((format(printf, 3, 4))) Code Fail(Code code, Fault* fault, const char* format, ...);
Code Check(cudaError_t error, Fault* fault);

// kBadStep unless work may go to `queue` now, where a graph being recorded takes that queue's only;
// or unless nothing is being recorded.
Code CheckTakes(const Device* device, Queue queue, Fault* fault);
Code CheckIdle(const Device* device, Fault* fault);

// device.cu: the table's functions on devices, memory, events and graphs.
Code Open(int index, Device** device, Fault* fault);
void Close(Device* device);
Code Info(Device* device, DeviceInfo* info, Fault* fault);
Code Allocate(Device* device, int64_t bytes, void** memory, Fault* fault);
void Release(Device* device, void* memory);
Code Pin(Device* device, int64_t bytes, void** memory, Fault* fault);
void Unpin(Device* device, void* memory);
Code ToDevice(Device* device, Queue queue, void* to, const void* from, int64_t bytes, Fault* fault);
Code ToHost(Device* device, Queue queue, void* to, const void* from, int64_t bytes, Fault* fault);
Code NewEvent(Device* device, Event** event, Fault* fault);
void FreeEvent(Device* device, Event* event);
Code Mark(Device* device, Queue queue, Event* event, Fault* fault);
Code Follow(Device* device, Queue queue, Event* event, Fault* fault);
Code WaitEvent(Device* device, Event* event, Fault* fault);
Code Wait(Device* device, Fault* fault);
Code BeginGraph(Device* device, Queue queue, Fault* fault);
Code EndGraph(Device* device, Graph** graph, Fault* fault);
Code LaunchGraph(Device* device, Queue queue, Graph* graph, Fault* fault);
void FreeGraph(Device* device, Graph* graph);

// Whether the plugin has code for the current device, which is GPU `index`. plugin.cu: it has the
// kernels.
Code CheckCode(int index, Fault* fault);

// product.cu. cuBLASLt is opened when a device is, so that the plugin loads without it.
Code FindLibraries(Fault* fault);
Code OpenProducts(Device* device, Fault* fault);
void CloseProducts(Device* device);
Code NewProduct(Device* device, const ProductShape* shape, Product** product, Fault* fault);
void FreeProduct(Device* device, Product* product);
Code Multiply(Device* device, Queue queue, const Product* product, const ProductStep* step,
              Fault* fault);
Code FinishProduct(Device* device, Queue queue, const ProductShape& shape, const ProductStep& step,
                   Fault* fault);  // plugin.cu

}  // namespace firstbyte::cuda

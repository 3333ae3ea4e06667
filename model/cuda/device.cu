#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>

#include "model/cuda/device.cuh"

namespace firstbyte::cuda {
namespace {

// An event and a graph are CUDA's own handles, which are pointers.
cudaEvent_t Of(Event* event) { return reinterpret_cast<cudaEvent_t>(event); }
cudaGraphExec_t Of(Graph* graph) { return reinterpret_cast<cudaGraphExec_t>(graph); }

// What a wrong call gives, after which the device goes on working.
bool IsBadStep(cudaError_t error) {
  return error == cudaErrorInvalidValue || error == cudaErrorInvalidConfiguration ||
         error == cudaErrorLaunchOutOfResources || error == cudaErrorInvalidResourceHandle ||
         (error >= cudaErrorStreamCaptureUnsupported && error <= cudaErrorCapturedEvent) ||
         error == cudaErrorStreamCaptureWrongThread;
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

// Steps first: they are what a listener's next chunk waits for.
Code OpenQueues(Device* device, Fault* fault) {
  int lowest = 0, highest = 0;
  Code code = Check(cudaDeviceGetStreamPriorityRange(&lowest, &highest), fault);
  for (int i = 0; i < kQueues && code == Code::kOk; ++i) {
    const int priority = static_cast<Queue>(i) == Queue::kSteps ? highest : lowest;
    code = Check(cudaStreamCreateWithPriority(&device->queues[i], cudaStreamNonBlocking, priority),
                 fault);
  }
  return code;
}

}  // namespace

Code Fail(Code code, Fault* fault, const char* format, ...) {
  if (fault == nullptr) return code;
  va_list values;
  va_start(values, format);
  std::vsnprintf(fault->text, sizeof(fault->text), format, values);
  va_end(values);
  return code;
}

Code Check(cudaError_t error, Fault* fault) {
  if (error == cudaSuccess) return Code::kOk;
  const bool memory = error == cudaErrorMemoryAllocation, step = IsBadStep(error);
  if (memory || step) cudaGetLastError();  // or the next launch would report it
  return Fail(memory ? Code::kOutOfMemory
              : step ? Code::kBadStep
                     : Code::kLost,
              fault, "CUDA: %s", cudaGetErrorString(error));
}

// A thread is on GPU 0 until it says otherwise; to say it again costs next to nothing.
Code CheckTakes(const Device* device, Queue queue, Fault* fault) {
  if (device->recording && *device->recording != queue) {
    return Fail(Code::kBadStep, fault, "a graph is being recorded from the other queue");
  }
  return Check(cudaSetDevice(device->index), fault);
}

Code CheckIdle(const Device* device, Fault* fault) {
  if (device->recording) {
    return Fail(Code::kBadStep, fault, "not while a graph is being recorded");
  }
  return Check(cudaSetDevice(device->index), fault);
}

Code Open(int index, Device** device, Fault* fault) {
  Code code = CheckDriver(fault);
  if (code == Code::kOk) code = CheckIndex(index, fault);
  if (code == Code::kOk) code = Check(cudaSetDevice(index), fault);
  if (code == Code::kOk) code = CheckCode(index, fault);
  if (code != Code::kOk) return code;
  std::unique_ptr<Device> opened(new (std::nothrow) Device{.index = index});
  if (opened == nullptr) return Fail(Code::kOutOfMemory, fault, "no memory");
  code = OpenQueues(opened.get(), fault);
  if (code == Code::kOk) code = OpenProducts(opened.get(), fault);
  if (code != Code::kOk) {
    Close(opened.release());
    return code;
  }
  *device = opened.release();
  return Code::kOk;
}

void Close(Device* device) {
  CloseProducts(device);
  for (cudaStream_t queue : device->queues) {
    if (queue != nullptr) cudaStreamDestroy(queue);
  }
  delete device;
}

Code Info(Device* device, DeviceInfo* info, Fault* fault) {
  cudaDeviceProp properties;
  size_t free = 0, total = 0;
  int kilohertz = 0, bits = 0;
  Code code = CheckIdle(device, fault);
  if (code == Code::kOk) code = Check(cudaGetDeviceProperties(&properties, device->index), fault);
  if (code == Code::kOk) code = Check(cudaMemGetInfo(&free, &total), fault);
  // Two transfers a clock. A driver that does not say leaves zeros.
  cudaDeviceGetAttribute(&kilohertz, cudaDevAttrMemoryClockRate, device->index);
  cudaDeviceGetAttribute(&bits, cudaDevAttrGlobalMemoryBusWidth, device->index);
  if (code != Code::kOk) return code;
  std::snprintf(info->name, sizeof(info->name), "%s", properties.name);
  info->capability = properties.major * 10 + properties.minor;
  info->multiprocessors = properties.multiProcessorCount;
  info->free_bytes = static_cast<int64_t>(free);
  info->total_bytes = static_cast<int64_t>(total);
  info->bytes_a_second = 2e3 * kilohertz * bits / 8;
  return code;
}

Code Allocate(Device* device, int64_t bytes, void** memory, Fault* fault) {
  Code code = CheckIdle(device, fault);
  if (code == Code::kOk) code = Check(cudaMalloc(memory, bytes), fault);
  if (code != Code::kOk) return code;
  // The queues do not wait for each other: it is clear before either can use it.
  const cudaStream_t stream = device->stream(Queue::kSteps);
  code = Check(cudaMemsetAsync(*memory, 0, bytes, stream), fault);
  if (code == Code::kOk) code = Check(cudaStreamSynchronize(stream), fault);
  if (code != Code::kOk) cudaFree(*memory);
  return code;
}

void Release(Device*, void* memory) { cudaFree(memory); }

Code Pin(Device* device, int64_t bytes, void** memory, Fault* fault) {
  Code code = CheckIdle(device, fault);
  if (code == Code::kOk) code = Check(cudaMallocHost(memory, bytes), fault);
  if (code == Code::kOk) std::memset(*memory, 0, bytes);
  return code;
}

void Unpin(Device*, void* memory) { cudaFreeHost(memory); }

Code ToDevice(Device* device, Queue queue, void* to, const void* from, int64_t bytes,
              Fault* fault) {
  const Code code = CheckTakes(device, queue, fault);
  if (code != Code::kOk) return code;
  return Check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, device->stream(queue)),
               fault);
}

Code ToHost(Device* device, Queue queue, void* to, const void* from, int64_t bytes, Fault* fault) {
  const Code code = CheckTakes(device, queue, fault);
  if (code != Code::kOk) return code;
  return Check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, device->stream(queue)),
               fault);
}

// The lane's thread sleeps while it waits: the core is needed by streams that encode.
Code NewEvent(Device* device, Event** event, Fault* fault) {
  Code code = CheckIdle(device, fault);
  cudaEvent_t made = nullptr;
  if (code == Code::kOk) {
    code = Check(cudaEventCreateWithFlags(&made, cudaEventDisableTiming | cudaEventBlockingSync),
                 fault);
  }
  if (code == Code::kOk) *event = reinterpret_cast<Event*>(made);
  return code;
}

void FreeEvent(Device*, Event* event) { cudaEventDestroy(Of(event)); }

Code Mark(Device* device, Queue queue, Event* event, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  return code == Code::kOk ? Check(cudaEventRecord(Of(event), device->stream(queue)), fault) : code;
}

Code Follow(Device* device, Queue queue, Event* event, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  if (code != Code::kOk) return code;
  return Check(cudaStreamWaitEvent(device->stream(queue), Of(event), 0), fault);
}

Code WaitEvent(Device* device, Event* event, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  return code == Code::kOk ? Check(cudaEventSynchronize(Of(event)), fault) : code;
}

Code Wait(Device* device, Fault* fault) {
  Code code = CheckIdle(device, fault);
  for (cudaStream_t queue : device->queues) {
    if (code == Code::kOk) code = Check(cudaStreamSynchronize(queue), fault);
  }
  return code;
}

// Only of this thread's calls: other devices' lanes go on.
Code BeginGraph(Device* device, Queue queue, Fault* fault) {
  Code code = CheckIdle(device, fault);
  if (code != Code::kOk) return code;
  code =
      Check(cudaStreamBeginCapture(device->stream(queue), cudaStreamCaptureModeThreadLocal), fault);
  if (code == Code::kOk) device->recording = queue;
  return code;
}

Code EndGraph(Device* device, Graph** graph, Fault* fault) {
  if (!device->recording) return Fail(Code::kBadStep, fault, "no graph is being recorded");
  const cudaStream_t stream = device->stream(*device->recording);
  device->recording.reset();
  cudaGraph_t recorded = nullptr;
  cudaGraphExec_t made = nullptr;
  Code code = Check(cudaStreamEndCapture(stream, &recorded), fault);
  if (code == Code::kOk) code = Check(cudaGraphInstantiate(&made, recorded, 0), fault);
  if (recorded != nullptr) cudaGraphDestroy(recorded);
  if (code != Code::kOk) return code;
  code = Check(cudaGraphUpload(made, stream), fault);  // so that the first launch is like others
  if (code == Code::kOk) {
    *graph = reinterpret_cast<Graph*>(made);
  } else {
    cudaGraphExecDestroy(made);
  }
  return code;
}

Code LaunchGraph(Device* device, Queue queue, Graph* graph, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  return code == Code::kOk ? Check(cudaGraphLaunch(Of(graph), device->stream(queue)), fault) : code;
}

void FreeGraph(Device*, Graph* graph) { cudaGraphExecDestroy(Of(graph)); }

}  // namespace firstbyte::cuda

#include "tests/model/cuda/emulated_device.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "model/cuda/emulate.h"
#include "model/cuda/kernel_table.h"
#include "tests/model/cuda/emulated_product.h"

namespace firstbyte::cuda {

using Work = std::function<void()>;

struct Event {
  Queue queue = Queue::kSteps;
  int64_t at = 0;  // how many pieces of work the queue has done then
};
struct Graph {
  std::vector<Work> work;
};
struct Product {
  ProductShape shape;
};

struct Device {
  explicit Device(ThreadOrder order) : order(order) {}

  struct Line {
    std::deque<Work> waiting;
    int64_t given = 0, done = 0;
  };

  const ThreadOrder order;
  Emulation emulation;
  Line lines[kQueues];
  std::map<void*, int64_t> allocated, pinned;  // with their bytes
  std::optional<Queue> recording;
  std::vector<Work> recorded;

  Line& line(Queue queue) { return lines[static_cast<int>(queue)]; }
  bool lost() const { return emulation.steps >= emulation.steps_to_live; }
  void RunUntil(Queue queue, int64_t at) {
    Line& line = this->line(queue);
    while (line.done < at && !line.waiting.empty()) {
      const Work work = std::move(line.waiting.front());
      line.waiting.pop_front();
      ++line.done;
      work();
    }
  }
  void Give(Queue queue, Work work) {
    ++line(queue).given;
    line(queue).waiting.push_back(std::move(work));
  }
};

namespace {

Code Fail(Code code, Fault* fault, const char* text) {
  if (fault != nullptr) std::snprintf(fault->text, sizeof(fault->text), "%s", text);
  return code;
}

Code CheckLost(const Device* device, Fault* fault) {
  return device->lost() ? Fail(Code::kLost, fault, "the emulated GPU is lost") : Code::kOk;
}

// As the plugin's.
Code CheckIdle(const Device* device, Fault* fault) {
  if (device->recording) return Fail(Code::kBadStep, fault, "not while a graph is being recorded");
  return CheckLost(device, fault);
}

// A step: it counts when it runs, and a lost device runs none.
Code Start(Device* device, Queue queue, Fault* fault, Work work) {
  if (device->recording && *device->recording != queue) {
    return Fail(Code::kBadStep, fault, "a graph is being recorded from the other queue");
  }
  const Code code = CheckLost(device, fault);
  if (code != Code::kOk) return code;
  Work counted = [device, work = std::move(work)] {
    if (device->lost()) return;
    work();
    ++device->emulation.steps;
  };
  if (device->recording) {
    device->recorded.push_back(std::move(counted));
  } else {
    device->Give(queue, std::move(counted));
  }
  return Code::kOk;
}

// Something that is freed by itself.
template <typename T>
Code Make(Device* device, T** made, T value, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  if (code != Code::kOk) return code;
  *made = new T(std::move(value));
  ++device->emulation.alive;
  return Code::kOk;
}
template <typename T>
void Free(Device* device, T* made) {
  --device->emulation.alive;
  delete made;
}

// All devices, which are opened and closed by threads of their own.
struct Machine {
  std::mutex mu;
  std::vector<Device*> open;
  int64_t free_bytes = Emulation::kFreeBytes;
};
Machine& TheMachine() {
  static auto* machine = new Machine;
  return *machine;
}

Code Open(int index, Device** device, Fault* fault) {
  if (index < 0 || index > 1) return Fail(Code::kNoDevice, fault, "two GPUs are emulated");
  *device = new Device(index == 0 ? ThreadOrder::kForward : ThreadOrder::kBackward);
  Machine& machine = TheMachine();
  std::lock_guard lock(machine.mu);
  (*device)->emulation.free_bytes = machine.free_bytes;
  machine.open.push_back(*device);
  return Code::kOk;
}
void Close(Device* device) {
  Machine& machine = TheMachine();
  {
    std::lock_guard lock(machine.mu);
    std::erase(machine.open, device);
  }
  delete device;
}

Code Info(Device* device, DeviceInfo* info, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  std::snprintf(info->name, sizeof(info->name), "Emulated GPU");
  info->free_bytes = device->emulation.free_bytes;
  return code;
}

void* NewBytes(std::map<void*, int64_t>* among, int64_t bytes) {
  void* memory = ::operator new (bytes, std::align_val_t{16});
  std::memset(memory, 0, bytes);
  among->emplace(memory, bytes);
  return memory;
}
void FreeBytes(std::map<void*, int64_t>* among, void* memory) {
  among->erase(memory);
  ::operator delete (memory, std::align_val_t{16});
}

Code Allocate(Device* device, int64_t bytes, void** memory, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  if (code != Code::kOk) return code;
  Emulation& e = device->emulation;
  if (bytes > e.free_bytes) return Fail(Code::kOutOfMemory, fault, "the emulated GPU is full");
  e.free_bytes -= bytes;
  ++e.alive;
  *memory = NewBytes(&device->allocated, bytes);
  return Code::kOk;
}
void Release(Device* device, void* memory) {
  if (memory == nullptr) return;
  device->emulation.free_bytes += device->allocated.at(memory);
  --device->emulation.alive;
  FreeBytes(&device->allocated, memory);
}

Code Pin(Device* device, int64_t bytes, void** memory, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  if (code != Code::kOk) return code;
  ++device->emulation.alive;
  *memory = NewBytes(&device->pinned, bytes);
  return Code::kOk;
}
void Unpin(Device* device, void* memory) {
  if (memory == nullptr) return;
  --device->emulation.alive;
  FreeBytes(&device->pinned, memory);
}

bool IsPinned(const Device& device, const void* memory) {
  const auto* at = static_cast<const char*>(memory);
  return std::any_of(device.pinned.begin(), device.pinned.end(), [&](const auto& pinned) {
    const auto* start = static_cast<const char*>(pinned.first);
    return at >= start && at < start + pinned.second;
  });
}

Code Copy(Device* device, Queue queue, void* to, const void* from, const void* host, int64_t bytes,
          Fault* fault) {
  if (device->recording && !IsPinned(*device, host)) {
    return Fail(Code::kBadStep, fault, "a graph copies pinned memory only");
  }
  return Start(device, queue, fault, [=] { std::memcpy(to, from, bytes); });
}
Code ToDevice(Device* device, Queue queue, void* to, const void* from, int64_t bytes,
              Fault* fault) {
  return Copy(device, queue, to, from, from, bytes, fault);
}
Code ToHost(Device* device, Queue queue, void* to, const void* from, int64_t bytes, Fault* fault) {
  return Copy(device, queue, to, from, to, bytes, fault);
}

Code NewEvent(Device* device, Event** event, Fault* fault) {
  return Make(device, event, Event{}, fault);
}
Code Mark(Device* device, Queue queue, Event* event, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  if (code == Code::kOk) *event = {queue, device->line(queue).given};
  return code;
}
Code Follow(Device* device, Queue queue, Event* event, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  if (code != Code::kOk) return code;
  device->Give(queue, [device, moment = *event] { device->RunUntil(moment.queue, moment.at); });
  return code;
}
Code WaitEvent(Device* device, Event* event, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  if (code != Code::kOk) return code;
  device->RunUntil(event->queue, event->at);
  return CheckLost(device, fault);
}
Code Wait(Device* device, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  if (code != Code::kOk) return code;
  for (Queue queue : {Queue::kMedia, Queue::kSteps}) {
    device->RunUntil(queue, device->line(queue).given);
  }
  return CheckLost(device, fault);
}

Code BeginGraph(Device* device, Queue queue, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  if (code == Code::kOk) device->recording = queue;
  return code;
}
Code EndGraph(Device* device, Graph** graph, Fault* fault) {
  if (!device->recording) return Fail(Code::kBadStep, fault, "no graph is being recorded");
  device->recording.reset();
  return Make(device, graph, Graph{std::exchange(device->recorded, {})}, fault);
}
Code Launch(Device* device, Queue queue, Graph* graph, Fault* fault) {
  const Code code = CheckIdle(device, fault);
  if (code != Code::kOk) return code;
  ++device->emulation.launches;
  for (const Work& work : graph->work) device->Give(queue, work);
  return code;
}

Code NewProduct(Device* device, const ProductShape* shape, Product** product, Fault* fault) {
  if (!shape->fits()) {
    return Fail(Code::kBadStep, fault, "a product was given a shape it cannot have");
  }
  return Make(device, product, Product{*shape}, fault);
}

struct OnHost {
  template <typename Kernel>
  static Code Start(Device* device, Queue queue, const Kernel& kernel, Fault* fault) {
    return cuda::Start(device, queue, fault, [=] { Emulate(kernel, device->order); });
  }
  static Code Refuse(Fault* fault, const char* why) { return Fail(Code::kBadStep, fault, why); }
};
using HostKernels = Kernels<OnHost>;

Code Multiply(Device* device, Queue queue, const Product* product, const ProductStep* step,
              Fault* fault) {
  const ProductShape& shape = product->shape;
  if (step->rows < 0 || step->rows > shape.most_rows) {
    return Fail(Code::kBadStep, fault, "a product was given more rows than it was made for");
  }
  const Code code =
      Start(device, queue, fault, [shape, step = *step] { EmulateProduct(shape, step); });
  return code == Code::kOk ? HostKernels::FinishProduct(device, queue, shape, *step, fault) : code;
}

constexpr PluginTable kTable = {.abi = kPluginAbi,
                                .build = "emulation",
                                .find_libraries = [](Fault*) { return Code::kOk; },
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
                                .free_event = Free<Event>,
                                .mark = Mark,
                                .follow = Follow,
                                .wait_event = WaitEvent,
                                .wait = Wait,
                                .begin_graph = BeginGraph,
                                .end_graph = EndGraph,
                                .launch = Launch,
                                .free_graph = Free<Graph>,
                                .new_product = NewProduct,
                                .free_product = Free<Product>,
                                .multiply = Multiply,
                                .f32 = HostKernels::Typed<float>(),
                                .bf16 = HostKernels::Typed<Bf16>(),
                                .f16 = HostKernels::Typed<F16>(),
                                .advance = HostKernels::kAdvance,
                                .sample = HostKernels::kSample,
                                .source_filter = HostKernels::kSourceFilter};

}  // namespace

const PluginTable& EmulatedPlugin() { return kTable; }

Emulation& EmulationOf(Device* device) { return device->emulation; }

std::vector<Device*> OpenEmulatedDevices() {
  std::lock_guard lock(TheMachine().mu);
  return TheMachine().open;
}

void SetEmulatedFreeBytes(int64_t bytes) {
  std::lock_guard lock(TheMachine().mu);
  TheMachine().free_bytes = bytes;
}

}  // namespace firstbyte::cuda

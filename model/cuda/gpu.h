// A device of the plugin with statuses for codes and owners for what it makes.
//
// Used by its lane's thread only. What it made must go before it does. A lost device is
// kUnavailable, too little memory kResourceExhausted, and a call that makes no sense kInternal.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/cuda/plugin_loader.h"

namespace firstbyte::cuda {

struct Freer {
  const PluginTable* plugin = nullptr;
  Device* device = nullptr;

  void operator()(Event* event) const { plugin->free_event(device, event); }
  void operator()(Graph* graph) const { plugin->free_graph(device, graph); }
  void operator()(Product* product) const { plugin->free_product(device, product); }
};
using OwnedEvent = std::unique_ptr<Event, Freer>;
using OwnedGraph = std::unique_ptr<Graph, Freer>;
using OwnedProduct = std::unique_ptr<Product, Freer>;

// Of the device, or pinned on the host. T is plain data.
struct FreeMemory {
  const PluginTable* plugin = nullptr;
  Device* device = nullptr;
  void operator()(void* memory) const { plugin->release(device, memory); }
};
struct FreePinned {
  const PluginTable* plugin = nullptr;
  Device* device = nullptr;
  void operator()(void* memory) const { plugin->unpin(device, memory); }
};
template <typename T>
using DeviceArray = std::unique_ptr<T[], FreeMemory>;
template <typename T>
using PinnedArray = std::unique_ptr<T[], FreePinned>;

class Gpu {
 public:
  Gpu(const PluginTable& plugin, DeviceHandle device)
      : plugin_(plugin), device_(std::move(device)) {}

  const PluginTable& plugin() const { return plugin_; }

  // Calls a function of the table on the device: Call(plugin().mark, Queue::kSteps, event).
  template <typename F, typename... Arguments>
  absl::Status Call(F function, Arguments... arguments) {
    Fault fault{};
    const Code code = function(device_.get(), arguments..., &fault);
    return code == Code::kOk ? absl::OkStatus() : StatusOf(code, fault);
  }

  absl::StatusOr<DeviceInfo> Info() {
    DeviceInfo info{};
    absl::Status status = Call(plugin_.info, &info);
    if (!status.ok()) return status;
    return info;
  }
  // What its arrays were given so far, also those that have gone.
  int64_t allocated_bytes() const { return allocated_bytes_; }

  // `count` elements, cleared; count > 0.
  template <typename T>
  absl::StatusOr<DeviceArray<T>> NewArray(int64_t count) {
    absl::StatusOr<void*> memory = Make<void>(plugin_.allocate, int64_t{sizeof(T)} * count);
    if (!memory.ok()) return memory.status();
    allocated_bytes_ += int64_t{sizeof(T)} * count;
    return DeviceArray<T>(static_cast<T*>(*memory), FreeMemory{&plugin_, device_.get()});
  }
  template <typename T>
  absl::StatusOr<PinnedArray<T>> NewPinned(int64_t count) {
    absl::StatusOr<void*> memory = Make<void>(plugin_.pin, int64_t{sizeof(T)} * count);
    if (!memory.ok()) return memory.status();
    return PinnedArray<T>(static_cast<T*>(*memory), FreePinned{&plugin_, device_.get()});
  }
  absl::StatusOr<OwnedEvent> NewEvent() { return Own(Make<Event>(plugin_.new_event)); }
  absl::StatusOr<OwnedGraph> EndGraph() { return Own(Make<Graph>(plugin_.end_graph)); }
  absl::StatusOr<OwnedProduct> NewProduct(const ProductShape& shape) {
    return Own(Make<Product>(plugin_.new_product, &shape));
  }

 private:
  template <typename T, typename F, typename... Arguments>
  absl::StatusOr<T*> Make(F function, Arguments... arguments) {
    T* made = nullptr;
    absl::Status status = Call(function, arguments..., &made);
    if (!status.ok()) return status;
    return made;
  }
  template <typename T>
  absl::StatusOr<std::unique_ptr<T, Freer>> Own(absl::StatusOr<T*> made) {
    if (!made.ok()) return made.status();
    return std::unique_ptr<T, Freer>(*made, Freer{&plugin_, device_.get()});
  }

  const PluginTable& plugin_;
  const DeviceHandle device_;
  int64_t allocated_bytes_ = 0;
};

// Moves what was made into its place.
template <typename T>
absl::Status Take(absl::StatusOr<T> made, T* place) {
  if (made.ok()) *place = *std::move(made);
  return made.status();
}

}  // namespace firstbyte::cuda

// The interface between the server and libfirstbyte_cuda.so: one table of plain functions, found by
// the symbol kPluginSymbol. The server links nothing of CUDA; plugin_loader.h opens the plugin when
// a GPU is asked for.
//
// Both sides are compiled from this file, and a table is used only when its `abi` is kPluginAbi:
// change that number with every change here or in the headers of steps.
//
// A Device is used by one thread, its lane's: CUDA warms up thread by thread. Work goes to one of
// its queues and runs there in order, later; what it reads and writes must live and stay until
// then. Every function but close() and those that free returns a code; the text of one that failed
// goes to `fault`, which may be null. After kLost nothing works any more but close() and those that
// free.
#pragma once

#include <cstdint>
#include <type_traits>

#include "model/cuda/causal.h"
#include "model/cuda/excite.h"
#include "model/cuda/filter.h"
#include "model/cuda/maps.h"
#include "model/cuda/picture.h"
#include "model/cuda/product.h"
#include "model/cuda/steps.h"
#include "model/cuda/tokens.h"

namespace firstbyte::cuda {

inline constexpr uint32_t kPluginAbi = 10;
inline constexpr char kPluginSymbol[] = "firstbyte_cuda_plugin";

enum class Code : int32_t {
  kOk,
  kNoDriver,     // or one too old for the plugin
  kNoDevice,     // no GPU, not so many, or one that the plugin has no code for
  kNoLibrary,    // cuBLASLt, which multiplies, is not installed
  kBadStep,      // what was asked for cannot be done; nothing was
  kOutOfMemory,  // nothing was allocated
  kLost,
};

struct Fault {
  char text[240];  // one line: what is wrong and, where it can be said, what to do
};

struct DeviceInfo {
  char name[256];
  int32_t capability;  // 90: compute capability 9.0
  int32_t multiprocessors;
  int64_t free_bytes, total_bytes;
  double bytes_a_second;  // that its memory can move, by clock and bus; 0: not known
};

// Prefill, generate and commit go to kSteps; decode to kMedia, which runs where kSteps leaves room.
enum class Queue : int32_t { kSteps, kMedia };
inline constexpr int kQueues = 2;

// The plugin's own. They go before their Device does.
struct Device;
struct Event;    // a moment in a queue
struct Graph;    // recorded work
struct Product;  // a ProductShape with its algorithm

template <typename Step>
using StartStep = Code (*)(Device*, Queue, const Step*, Fault*);

// The kernels on activations and caches of T.
template <typename T>
struct TypedKernels {
  StartStep<AttendStep<T>> attend;
  StartStep<HeadsStep<T>> heads;
  StartStep<ModulateStep<T>> modulate;
  StartStep<RingWriteStep<T>> ring_write;
  StartStep<ActivateStep<T>> activate;
  StartStep<SwigluStep<T>> swiglu;
  StartStep<TapsStep<T>> taps;
  StartStep<MapNormStep<T>> map_norm;
  StartStep<ShuffleStep<T>> shuffle;
  StartStep<PictureStep<T>> picture;
  StartStep<CausalTapsStep<T>> causal_taps;
  StartStep<TanhGateStep<T>> tanh_gate;
  StartStep<EmbedStep<T>> embed;
  StartStep<NoiseStep<T>> noise;
};

// Those of a source-filter vocoder.
struct SourceFilterKernels {
  StartStep<GlideStep> glides;
  StartStep<ExciteStep> excite;
  StartStep<FilterStep> filter;
  StartStep<OverlapAddStep> overlap_add;
};

struct PluginTable {
  uint32_t abi;       // kPluginAbi; stays first
  const char* build;  // "CUDA 13.0 for sm_80, sm_90a"

  Code (*find_libraries)(Fault*);  // kOk or kNoLibrary; any thread, needs no GPU
  Code (*open)(int index, Device** device, Fault*);
  void (*close)(Device*);
  Code (*info)(Device*, DeviceInfo*, Fault*);

  // Memory of the device, and memory of the host that copies can use; both are cleared.
  Code (*allocate)(Device*, int64_t bytes, void** memory, Fault*);
  void (*release)(Device*, void* memory);
  Code (*pin)(Device*, int64_t bytes, void** memory, Fault*);
  void (*unpin)(Device*, void* memory);

  // While a queue records, `host` must be pinned.
  Code (*to_device)(Device*, Queue, void* device_memory, const void* host, int64_t bytes, Fault*);
  Code (*to_host)(Device*, Queue, void* host, const void* device_memory, int64_t bytes, Fault*);

  // mark(): the event is when all that the queue was given so far is done. One that was never
  // marked is in the past.
  Code (*new_event)(Device*, Event**, Fault*);
  void (*free_event)(Device*, Event*);
  Code (*mark)(Device*, Queue, Event*, Fault*);
  Code (*follow)(Device*, Queue, Event*, Fault*);  // what the queue is given from now on waits
  Code (*wait_event)(Device*, Event*, Fault*);     // the caller waits
  Code (*wait)(Device*, Fault*);                   // for all queues

  // From begin_graph() on, the kernels, products and copies that a queue is given are recorded
  // instead. Until end_graph(), which ends that in any case, all else of this table but what frees
  // is kBadStep.
  Code (*begin_graph)(Device*, Queue, Fault*);
  Code (*end_graph)(Device*, Graph**, Fault*);
  Code (*launch)(Device*, Queue, Graph*, Fault*);
  void (*free_graph)(Device*, Graph*);

  Code (*new_product)(Device*, const ProductShape*, Product**, Fault*);
  void (*free_product)(Device*, Product*);
  Code (*multiply)(Device*, Queue, const Product*, const ProductStep*, Fault*);

  TypedKernels<float> f32;
  TypedKernels<Bf16> bf16;
  TypedKernels<F16> f16;
  StartStep<AdvanceStep> advance;
  StartStep<SampleStep> sample;
  SourceFilterKernels source_filter;
  StartStep<JoinStep> join;
  StartStep<KeepStep> keep;
};

template <typename T>
const TypedKernels<T>& KernelsOf(const PluginTable& plugin) {
  if constexpr (std::is_same_v<T, Bf16>) {
    return plugin.bf16;
  } else if constexpr (std::is_same_v<T, F16>) {
    return plugin.f16;
  } else {
    return plugin.f32;
  }
}

using PluginEntry = const PluginTable* (*)();

}  // namespace firstbyte::cuda

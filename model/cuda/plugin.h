// The interface between the server and libfirstbyte_cuda.so: one table of plain functions, found by
// the symbol kPluginSymbol. The server links nothing of CUDA; plugin_loader.h opens the plugin when
// a GPU is asked for.
//
// Both sides are compiled from this file, and a table is used only when its `abi` is kPluginAbi:
// change that number with every change here or in steps.h.
//
// A Device is used by one thread, its lane's: CUDA warms up thread by thread. Work is asynchronous,
// in one order (a stream of the device's own), until Wait(). Every function but close() returns a
// code; the text of one that failed goes to `fault`, which may be null. After kLost nothing works
// any more but close().
#pragma once

#include <cstdint>

#include "model/cuda/steps.h"

namespace firstbyte::cuda {

inline constexpr uint32_t kPluginAbi = 1;
inline constexpr char kPluginSymbol[] = "firstbyte_cuda_plugin";

enum class Code : int32_t {
  kOk,
  kNoDriver,     // or one too old for the plugin
  kNoDevice,     // no GPU, not so many, or one that the plugin has no code for
  kBadStep,      // a step whose sizes the kernel does not take
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
};

struct Device;  // the plugin's

// The kernels on activations and caches of T.
template <typename T>
struct TypedKernels {
  Code (*attend)(Device*, const AttendStep<T>*, Fault*);
  Code (*heads)(Device*, const HeadsStep<T>*, Fault*);
  Code (*modulate)(Device*, const ModulateStep<T>*, Fault*);
  Code (*ring_write)(Device*, const RingWriteStep<T>*, Fault*);
};

struct PluginTable {
  uint32_t abi;       // kPluginAbi; stays first
  const char* build;  // "CUDA 13.0 for sm_80, sm_90a"

  Code (*open)(int index, Device** device, Fault*);
  void (*close)(Device*);
  Code (*info)(Device*, DeviceInfo*, Fault*);
  Code (*allocate)(Device*, int64_t bytes, void** memory, Fault*);  // cleared
  Code (*release)(Device*, void* memory, Fault*);
  Code (*to_device)(Device*, void* to, const void* from, int64_t bytes, Fault*);
  Code (*to_host)(Device*, void* to, const void* from, int64_t bytes, Fault*);  // waits
  Code (*wait)(Device*, Fault*);

  TypedKernels<float> f32;
  TypedKernels<Bf16> bf16;
  Code (*advance)(Device*, const AdvanceStep*, Fault*);
  Code (*sample)(Device*, const SampleStep*, Fault*);
};

using PluginEntry = const PluginTable* (*)();

}  // namespace firstbyte::cuda

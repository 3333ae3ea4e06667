// Kernels written once for the GPU and for a machine without one.
//
// A kernel is a plain struct of arguments with
//   static constexpr int kThreads;   // of a block; a multiple of 32, at most kMaxThreads
//   struct Shared;                   // what the threads of a block share
//   Grid grid() const;               // a side of 0: there is nothing to do
//   bool fits() const;               // whether it takes these sizes
//   template <typename Block> FIRSTBYTE_DEVICE void Run(Block& block, Shared& shared) const;
// Run() is a sequence of block.Each(f): every thread of the block runs f(thread), and waits for the
// others. What a thread keeps from one to the next is a Block::PerThread<T>; whatever stands
// between two of them must be the same for all threads. emulate.h runs that on the host, launch.cuh
// on the device.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define FIRSTBYTE_DEVICE __device__
#define FIRSTBYTE_UNROLL _Pragma("unroll")  // so that what a thread indexes stays in registers
#else
#define FIRSTBYTE_DEVICE
#define FIRSTBYTE_UNROLL
#endif

namespace firstbyte::cuda {

inline constexpr int kWarp = 32;
inline constexpr int kMaxThreads = 256;

// Blocks of a launch, or the place of one among them. y and z: at most 65535.
struct Grid {
  int x = 1, y = 1, z = 1;
};

constexpr int CeilDiv(int a, int b) { return (a + b - 1) / b; }
constexpr int Min(int a, int b) { return a < b ? a : b; }
constexpr float Max(float a, float b) { return a > b ? a : b; }

}  // namespace firstbyte::cuda

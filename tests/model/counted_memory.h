// How often a thread takes memory: every allocation of the process comes through the functions of
// counted_memory.cc, operator new and LibTorch's among them. Not for sanitizers, which have their
// own.
#pragma once

#include <utility>

namespace firstbyte {

void BeginCountingAllocations();  // of this thread, from 0
int EndCountingAllocations();

template <typename F>
int AllocationsOf(F&& work) {
  BeginCountingAllocations();
  std::forward<F>(work)();
  return EndCountingAllocations();
}

}  // namespace firstbyte

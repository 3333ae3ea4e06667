// What this process takes from the machine, as Prometheus' process_* metrics define it.
#pragma once

#include <cstdint>

namespace firstbyte {

struct ProcessUsage {
  double cpu_seconds = 0;  // user and system, since the start
  int64_t resident_bytes = 0;
  int64_t heap_bytes = 0;  // allocated and not freed; resident is more: what malloc keeps, and files
  int threads = 0;
  int open_fds = 0;
  double start_time_seconds = 0;  // Unix time
};

// Reads /proc/self and malloc's own count: some 50 us. A field that the kernel does not tell stays 0. Thread-safe.
ProcessUsage ReadProcessUsage();

}  // namespace firstbyte

// What this process takes from the machine, as Prometheus' process_* metrics define it.
#pragma once

#include <cstdint>

namespace firstbyte {

struct ProcessUsage {
  double cpu_seconds = 0;  // user and system, since the start
  int64_t resident_bytes = 0;
  int threads = 0;
  int open_fds = 0;
  double start_time_seconds = 0;  // Unix time
};

// Reads /proc/self: some 50 us. A field that the kernel does not tell stays 0. Thread-safe.
ProcessUsage ReadProcessUsage();

}  // namespace firstbyte

// Times pieces of the engine for the benchmarks.
#pragma once

#include <algorithm>
#include <ctime>
#include <functional>

namespace firstbyte {

// Of this thread's processor time: the machine is shared, and the engine runs on one thread.
inline double Milliseconds(const std::function<void()>& run) {
  auto now = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
  };
  const double begin = now();
  run();
  return now() - begin;
}

inline double Fastest(int times, const std::function<void()>& run) {
  double best = 1e9;
  for (int i = 0; i < times; ++i) best = std::min(best, Milliseconds(run));
  return best;
}

}  // namespace firstbyte

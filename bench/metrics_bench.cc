// metrics_bench: what it costs to observe something, in nanoseconds, as JSON.
//
// Through the handles that the server keeps, whose series exist: alone, and while another thread
// observes the same series without a pause. The fastest of several rounds of processor time.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <thread>

#include "bench/thread_time.h"
#include "metrics/metrics.h"

namespace firstbyte {
namespace {

constexpr int kRounds = 20, kTimes = 200'000;

double NanosecondsOf(const std::function<void(int)>& what) {
  return Fastest(kRounds,
                 [&] {
                   for (int i = 0; i < kTimes; ++i) what(i);
                 }) *
         1e6 / kTimes;
}

double WithAnotherThread(const std::function<void(int)>& what) {
  std::atomic<bool> stop{false};
  std::thread other([&] {
    for (int i = 0; !stop; ++i) what(i);
  });
  const double ns = NanosecondsOf(what);
  stop = true;
  other.join();
  return ns;
}

void Run() {
  Metrics metrics({"voice"}, {});
  const RequestMetrics& request = metrics.request(Method::kSynthesize, "voice");
  const auto observe = [&](int i) { request.ttfb.Observe((i & 1023) * 1e-5); };
  const auto gauge = [&](int i) { request.in_flight.Set(i); };
  std::printf("{\"histogram_ns\": %.1f, \"histogram_contended_ns\": %.1f, \"gauge_ns\": %.1f}\n",
              NanosecondsOf(observe), WithAnotherThread(observe), NanosecondsOf(gauge));
}

}  // namespace
}  // namespace firstbyte

int main() { firstbyte::Run(); }

#include "bench/world_lanes.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <thread>
#include <vector>

#include "bench/world_cohort.h"

namespace firstbyte {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kParts = 5;

double Since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

double ThreadMilliseconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
}

double ResidentMib() {
  int64_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return static_cast<double>(resident * sysconf(_SC_PAGESIZE)) / (1 << 20);
}

// Of one part of the run, milliseconds.
struct Times {
  std::vector<double> frame, block;  // from action to frame, and until the cache has it
  std::vector<double> processor;     // of the block's wall time, what the lane's thread worked
};

double Quantile(std::vector<double>* values, double q) {
  std::sort(values->begin(), values->end());
  return (*values)[static_cast<size_t>(q * static_cast<double>(values->size() - 1))];
}

Times RunPart(Cohort* cohort, int blocks) {
  Times times;
  times.frame.reserve(blocks);
  times.block.reserve(blocks);
  times.processor.reserve(blocks);
  for (int i = 0; i < blocks; ++i) {
    const auto begin = Clock::now();
    const double worked = ThreadMilliseconds();
    cohort->Act();
    cohort->Make();
    times.frame.push_back(Since(begin));
    cohort->Commit();
    times.block.push_back(Since(begin));
    times.processor.push_back(ThreadMilliseconds() - worked);
  }
  return times;
}

void Append(const std::vector<double>& from, std::vector<double>* to) {
  to->insert(to->end(), from.begin(), from.end());
}

void Print(const LanesRun& run, int part, const std::vector<Times>& lanes, double milliseconds) {
  Times all;
  for (const Times& lane : lanes) {
    Append(lane.frame, &all.frame);
    Append(lane.block, &all.block);
    Append(lane.processor, &all.processor);
  }
  const double frames = 1.0 * run.sessions * static_cast<double>(all.block.size());
  std::printf("%d/%d: %.0f frames/s; frame p50 %.2f p99 %.2f ms; ", part + 1, kParts,
              1e3 * frames / milliseconds, Quantile(&all.frame, 0.5), Quantile(&all.frame, 0.99));
  std::printf("block p50 %.2f p99 %.2f max %.2f, of it worked p50 %.2f p99 %.2f; %.1f MiB\n",
              Quantile(&all.block, 0.5), Quantile(&all.block, 0.99), Quantile(&all.block, 1),
              Quantile(&all.processor, 0.5), Quantile(&all.processor, 0.99), ResidentMib());
}

}  // namespace

void RunLanes(const std::shared_ptr<const state_dit::World>& world, const LanesRun& run) {
  const int blocks = std::max(1, run.blocks / kParts);
  std::vector<Times> times(run.lanes);
  int part = 0;
  auto begin = Clock::now();
  std::barrier together(run.lanes, [&]() noexcept {
    if (part > 0) Print(run, part - 1, times, Since(begin));
    ++part;
    begin = Clock::now();
  });
  auto lane = [&](int index) {
    auto model =
        state_dit::StateDit::Create(world, {.slots = run.sessions, .max_batch = run.sessions});
    Check(model.status());
    Cohort cohort(model->get(), run.sessions);
    for (int i = 0; i < kParts; ++i) {
      together.arrive_and_wait();
      times[index] = RunPart(&cohort, blocks);
    }
    together.arrive_and_wait();
  };
  std::printf("%d lanes of %d sessions, %d blocks each\n", run.lanes, run.sessions,
              blocks * kParts);
  std::vector<std::jthread> threads;
  for (int i = 0; i < run.lanes; ++i) threads.emplace_back(lane, i);
}

}  // namespace firstbyte

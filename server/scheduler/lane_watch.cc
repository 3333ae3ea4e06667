#include "server/scheduler/lane_watch.h"

#include <utility>

#include "base/thread.h"

namespace firstbyte {

LaneWatch::LaneWatch(Options options)
    : options_(std::move(options)), seen_(options_.iterations.size()) {}

LaneWatch::~LaneWatch() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    wake_.NotifyOne();
  }
  if (thread_.joinable()) thread_.join();
}

void LaneWatch::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void LaneWatch::Look() {
  for (int lane = 0; lane < static_cast<int>(seen_.size()); ++lane) {
    Seen& seen = seen_[lane];
    const uint64_t iteration = options_.iterations[lane]();
    const bool under_way = iteration % 2 == 1;
    seen.looks = under_way && iteration == seen.iteration ? seen.looks + 1 : 0;
    seen.iteration = iteration;
    if (seen.looks >= kLooks && !std::exchange(stalled_, true)) options_.on_stall(lane);
  }
}

void LaneWatch::Loop() {
  NameThisThread("lane_watch");
  const auto pause = absl::ToChronoMicroseconds(options_.timeout / kLooks);
  MutexLock lock(&mu_);
  while (!stopping_) {
    if (!wake_.WaitFor(&mu_, pause) && !stopping_) Look();
  }
}

}  // namespace firstbyte

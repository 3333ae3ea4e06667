// Notices a lane that stands still in the middle of something: a step that never comes back.
//
// It counts its own looks instead of asking a clock, so neither a clock that jumps nor a process
// that was stopped for a while makes a false alarm; nor does a lane that has nothing to do.
#pragma once

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "base/mutex.h"

namespace firstbyte {

class LaneWatch {
 public:
  struct Options {
    std::vector<std::function<uint64_t()>> iterations;  // of each lane: Lane::iteration()
    absl::Duration timeout;
    std::function<void(int lane)> on_stall;  // once, on the watch's thread or in Look()
  };

  explicit LaneWatch(Options options);
  ~LaneWatch();

  // Looks at all lanes every quarter of the timeout.
  void Start();
  // One look; for Start() and for tests.
  void Look();

 private:
  static constexpr int kLooks = 4;

  struct Seen {
    uint64_t iteration = 0;
    int looks = 0;  // at the same unfinished iteration, after the first
  };

  void Loop();

  const Options options_;
  std::vector<Seen> seen_;
  bool stalled_ = false;
  Mutex mu_;
  CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace firstbyte

// What a player feels, in numbers: frames a second, the time from an action to the first frame that
// shows it, blocks that came late.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/mutex.h"
#include "firstbyte/v1/world.pb.h"

namespace firstbyte {

// Thread-safe. Times are of one monotonic clock.
class PlayFigures {
 public:
  void Sent(int64_t sequence, absl::Time now);
  // Call as soon as the block is here.
  void Received(const v1::Block& block, absl::Time now);
  void Skipped(int64_t total);  // late blocks so far, as the server counts them

  struct Now {
    int64_t block = -1;
    double frames_per_second = 0;    // over the last second
    double action_to_frame_ms = -1;  // of the last action; -1: none yet
    // The part of it that the server does not account for: network, gRPC and this client.
    double network_ms = -1;
    int64_t late = 0;
  };
  Now now(absl::Time time) const;

  // "412 blocks, 20.6 s of world, 20.0 frames/s; action to frame p50 31.2 ms, p95 58.0 ms; 0 late".
  std::string Summary(double fps) const;

 private:
  mutable Mutex mu_;
  std::map<int64_t, absl::Time> sent_ ABSL_GUARDED_BY(mu_);  // not shown yet
  std::vector<double> action_to_frame_ms_ ABSL_GUARDED_BY(mu_);
  std::deque<absl::Time> recent_ ABSL_GUARDED_BY(mu_);  // frames of the last second
  int64_t blocks_ ABSL_GUARDED_BY(mu_) = 0, frames_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Time first_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  absl::Time last_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  Now now_ ABSL_GUARDED_BY(mu_);
};

}  // namespace firstbyte

// A thread that runs jobs one after the other and, when told to, a tick in between.
#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "absl/time/time.h"
#include "base/mutex.h"

namespace firstbyte {

// Thread-safe. The destructor runs what was posted before it, then joins.
class SerialThread {
 public:
  // `tick` is called on the thread when no job is left and whenever as long has passed as it
  // returned.
  SerialThread(const char* name, std::function<absl::Duration()> tick);
  ~SerialThread();

  void Post(std::function<void()> job);
  // Returns true when no job is left, false after `timeout`.
  bool WaitUntilIdle(absl::Duration timeout);

 private:
  void Loop(const char* name);
  bool RunOne();

  const std::function<absl::Duration()> tick_;
  Mutex mu_;
  CondVar wake_, idle_;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mu_);
  bool running_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace firstbyte

// A small thread pool, and strands that run their jobs on it one after the other.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace firstbyte {

// Thread-safe. The destructor runs what was posted before it, then joins.
class ThreadPool {
 public:
  ThreadPool(int threads, const std::string& name);
  ~ThreadPool();

  void Post(std::function<void()> job);

 private:
  void Loop();

  Mutex mu_;
  CondVar wake_;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

// Jobs of one strand never overlap and keep their order; different strands run in parallel.
// Thread-safe. May be destroyed at any time: posted jobs still run, so a job holds by shared_ptr
// whatever it needs. The pool must outlive the strand's jobs.
class Strand {
 public:
  explicit Strand(ThreadPool* pool);
  void Post(std::function<void()> job);

 private:
  struct State;
  static void RunAll(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;
};

}  // namespace firstbyte

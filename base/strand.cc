#include "base/strand.h"

#include <utility>

#include "base/thread.h"

namespace firstbyte {

ThreadPool::ThreadPool(int threads, const std::string& name) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this, name] {
      NameThisThread(name);
      Loop();
    });
  }
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Post(std::function<void()> job) {
  MutexLock lock(&mu_);
  jobs_.push_back(std::move(job));
  wake_.NotifyOne();
}

void ThreadPool::Loop() {
  while (true) {
    std::function<void()> job;
    {
      MutexLock lock(&mu_);
      while (jobs_.empty() && !stopping_) wake_.Wait(&mu_);
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

struct Strand::State {
  explicit State(ThreadPool* p) : pool(p) {}
  ThreadPool* const pool;
  Mutex mu;
  std::deque<std::function<void()>> jobs ABSL_GUARDED_BY(mu);
  bool scheduled ABSL_GUARDED_BY(mu) = false;
};

Strand::Strand(ThreadPool* pool) : state_(std::make_shared<State>(pool)) {}

void Strand::Post(std::function<void()> job) {
  {
    MutexLock lock(&state_->mu);
    state_->jobs.push_back(std::move(job));
    if (std::exchange(state_->scheduled, true)) return;
  }
  state_->pool->Post([state = state_] { RunAll(state); });
}

void Strand::RunAll(const std::shared_ptr<State>& state) {
  while (true) {
    std::function<void()> job;
    {
      MutexLock lock(&state->mu);
      if (state->jobs.empty()) {
        state->scheduled = false;
        return;
      }
      job = std::move(state->jobs.front());
      state->jobs.pop_front();
    }
    job();
  }
}

}  // namespace firstbyte

#include "server/stream/serial_thread.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "base/thread.h"

namespace firstbyte {

SerialThread::SerialThread(const char* name, std::function<absl::Duration()> tick)
    : tick_(std::move(tick)), thread_([this, name] { Loop(name); }) {}

SerialThread::~SerialThread() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  thread_.join();
}

void SerialThread::Post(std::function<void()> job) {
  {
    MutexLock lock(&mu_);
    jobs_.push_back(std::move(job));
  }
  wake_.NotifyAll();
}

bool SerialThread::WaitUntilIdle(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  MutexLock lock(&mu_);
  while (running_ || !jobs_.empty()) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    idle_.WaitFor(&mu_, absl::ToChronoMilliseconds(left));
  }
  return true;
}

bool SerialThread::RunOne() {
  std::function<void()> job;
  {
    MutexLock lock(&mu_);
    if (jobs_.empty()) return false;
    job = std::move(jobs_.front());
    jobs_.pop_front();
    running_ = true;
  }
  job();
  job = nullptr;  // what it holds goes before anyone hears that it is done
  MutexLock lock(&mu_);
  running_ = false;
  idle_.NotifyAll();
  return true;
}

void SerialThread::Loop(const char* name) {
  NameThisThread(name);
  while (true) {
    while (RunOne()) {
    }
    const absl::Duration pause = std::clamp(tick_(), absl::Milliseconds(1), absl::Hours(1));
    MutexLock lock(&mu_);
    if (!jobs_.empty()) continue;
    if (stopping_) return;
    wake_.WaitFor(&mu_, absl::ToChronoMilliseconds(pause) + std::chrono::milliseconds(1));
  }
}

}  // namespace firstbyte

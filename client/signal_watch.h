// Turns SIGINT and SIGTERM into a call on an ordinary thread.
#pragma once

#include <functional>
#include <thread>

namespace firstbyte {

// Make it before any other thread, so that all inherit the blocked signals. While it lives, the
// first signal calls `on_signal`; the second calls `before_exit` and ends the process at once.
class SignalWatch {
 public:
  explicit SignalWatch(
      std::function<void()> on_signal, std::function<void()> before_exit = [] {});
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  void Watch();

  const std::function<void()> on_signal_, before_exit_;
  int signal_fd_;
  int stop_fd_;
  std::thread thread_;
};

}  // namespace firstbyte

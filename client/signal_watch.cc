#include "client/signal_watch.h"

#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include <sys/eventfd.h>
#include <sys/signalfd.h>

namespace firstbyte {
namespace {

constexpr int kExitInterrupted = 130;

sigset_t Watched() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

SignalWatch::SignalWatch(std::function<void()> on_signal) {
  sigset_t set = Watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal_fd_ = signalfd(-1, &set, SFD_CLOEXEC);
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this, on_signal = std::move(on_signal)] { Watch(on_signal); });
}

SignalWatch::~SignalWatch() {
  uint64_t one = 1;
  [[maybe_unused]] ssize_t written = write(stop_fd_, &one, sizeof(one));
  thread_.join();
  close(signal_fd_);
  close(stop_fd_);
  sigset_t set = Watched();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void SignalWatch::Watch(const std::function<void()>& on_signal) {
  for (int signals = 0;;) {
    pollfd fds[] = {{.fd = signal_fd_, .events = POLLIN}, {.fd = stop_fd_, .events = POLLIN}};
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[1].revents != 0) return;
    signalfd_siginfo info;
    if (read(signal_fd_, &info, sizeof(info)) != sizeof(info)) continue;
    if (++signals > 1) _exit(kExitInterrupted);
    on_signal();
  }
}

}  // namespace firstbyte

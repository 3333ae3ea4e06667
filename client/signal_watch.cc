#include "client/signal_watch.h"

#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include "client/exit_codes.h"

namespace firstbyte {
namespace {

sigset_t Watched() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

SignalWatch::SignalWatch(std::function<void()> on_signal, std::function<void()> before_exit)
    : on_signal_(std::move(on_signal)), before_exit_(std::move(before_exit)) {
  sigset_t set = Watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal_fd_ = signalfd(-1, &set, SFD_CLOEXEC);
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this] { Watch(); });
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

void SignalWatch::Watch() {
  for (int signals = 0;;) {
    pollfd fds[] = {{.fd = signal_fd_, .events = POLLIN}, {.fd = stop_fd_, .events = POLLIN}};
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[1].revents != 0) return;
    signalfd_siginfo info;
    if (read(signal_fd_, &info, sizeof(info)) != sizeof(info)) continue;
    if (++signals > 1) {
      before_exit_();
      _exit(kExitInterrupted);
    }
    on_signal_();
  }
}

}  // namespace firstbyte

#include "server/stop_signal.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>

namespace firstbyte {
namespace {

constexpr int kOwnWish = SIGUSR1;

sigset_t FromOutside() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

sigset_t StopSignals() {
  sigset_t set = FromOutside();
  sigaddset(&set, kOwnWish);
  return set;
}

}  // namespace

StopSignal::StopSignal() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

int StopSignal::Wait() {
  const sigset_t set = StopSignals();
  int signal = 0;
  sigwait(&set, &signal);
  const sigset_t outside = FromOutside();
  pthread_sigmask(SIG_UNBLOCK, &outside, nullptr);
  return signal;
}

void StopSignal::Raise() { kill(getpid(), kOwnWish); }

}  // namespace firstbyte

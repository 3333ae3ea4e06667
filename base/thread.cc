#include "base/thread.h"

#include <pthread.h>
#include <unistd.h>

#include <cstdint>

#include <sys/resource.h>
#include <sys/syscall.h>

namespace firstbyte {

void NameThisThread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

bool LowerThisThreadsPriority(int nice) {
  // On Linux PRIO_PROCESS with a thread id changes that thread alone.
  auto tid = static_cast<id_t>(syscall(SYS_gettid));
  // Lower than what the process was started with, be that `nice` or a service manager's choice.
  return setpriority(PRIO_PROCESS, tid, getpriority(PRIO_PROCESS, tid) + nice) == 0;
}

bool SetThisThreadsTurn(absl::Duration turn) {
  // The first version of the kernel's sched_attr, whose header and glibc's do not go together.
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;  // ns; runtime is an ordinary thread's turn
  } attributes = {};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0) return false;
  attributes.runtime = static_cast<uint64_t>(absl::ToInt64Nanoseconds(turn));
  return syscall(SYS_sched_setattr, 0, &attributes, 0) == 0;
}

}  // namespace firstbyte

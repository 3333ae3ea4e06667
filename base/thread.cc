#include "base/thread.h"

#include <pthread.h>
#include <unistd.h>

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

}  // namespace firstbyte

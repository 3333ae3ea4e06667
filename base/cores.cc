#include "base/cores.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace firstbyte {
namespace {

constexpr char kControlGroups[] = "/sys/fs/cgroup";

int CoresOfAffinity() {
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof(cores), &cores) == 0) return CPU_COUNT(&cores);
  return static_cast<int>(std::thread::hardware_concurrency());  // a machine of over 1024 cores
}

// Of the process's own group, as far as it can see: in a container that is the root.
std::string OwnGroup() {
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    absl::string_view path = line;
    if (absl::ConsumePrefix(&path, "0::")) return std::string(path);
  }
  return "/";
}

std::optional<int> CoresOfQuotaHere() {
  std::string cpu_max;
  std::ifstream file(absl::StrCat(kControlGroups, OwnGroup(), "/cpu.max"));
  if (!std::getline(file, cpu_max)) return std::nullopt;
  return CoresOfQuota(cpu_max);
}

}  // namespace

std::optional<int> CoresOfQuota(absl::string_view cpu_max) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(cpu_max, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  int64_t quota = 0, period = 0;
  if (words.size() != 2 || !absl::SimpleAtoi(words[0], &quota) ||
      !absl::SimpleAtoi(words[1], &period) || quota <= 0 || period <= 0) {
    return std::nullopt;
  }
  return static_cast<int>(std::clamp<int64_t>(quota / period, 1, 1 << 16));
}

int UsableCores() {
  const int cores = std::max(1, CoresOfAffinity());
  return std::min(cores, CoresOfQuotaHere().value_or(cores));
}

}  // namespace firstbyte

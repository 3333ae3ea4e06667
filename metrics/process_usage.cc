#include "metrics/process_usage.h"

#include <malloc.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <string>

#include <sys/resource.h>

namespace firstbyte {
namespace {

double Seconds(const timeval& time) { return time.tv_sec + time.tv_usec / 1e6; }

// The number that follows `word` at the begin of a line of `file`, else 0.
double NumberAfter(const char* file, const std::string& word) {
  std::ifstream in(file);
  for (std::string first; in >> first;) {
    double value = 0;
    if (first == word && in >> value) return value;
    in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

// Field `index` of /proc/self/stat, counted from 1 as proc(5) does; from 3 on, since the name in
// field 2 may hold anything.
double StatField(int index) {
  std::ifstream in("/proc/self/stat");
  std::string line;
  std::getline(in, line);
  const size_t end_of_name = line.rfind(')');
  if (end_of_name == std::string::npos) return 0;
  std::istringstream fields(line.substr(end_of_name + 1));
  std::string field;
  for (int i = 3; i <= index; ++i) fields >> field;
  return std::atof(field.c_str());
}

// In every arena, and in blocks that have a mapping of their own.
int64_t HeapBytes() {
  const struct mallinfo2 heap = mallinfo2();
  return static_cast<int64_t>(heap.uordblks + heap.hblkhd);
}

int OpenFds() {
  std::error_code error;
  const std::filesystem::directory_iterator fds("/proc/self/fd", error);
  if (error) return 0;
  return static_cast<int>(std::distance(begin(fds), end(fds))) - 1;  // not the one that reads
}

}  // namespace

ProcessUsage ReadProcessUsage() {
  constexpr int kThreads = 20, kStartTime = 22, kResidentPages = 24;  // of proc(5)
  ProcessUsage usage;
  rusage times = {};
  getrusage(RUSAGE_SELF, &times);
  usage.cpu_seconds = Seconds(times.ru_utime) + Seconds(times.ru_stime);
  usage.resident_bytes = static_cast<int64_t>(StatField(kResidentPages)) * sysconf(_SC_PAGESIZE);
  usage.heap_bytes = HeapBytes();
  usage.threads = static_cast<int>(StatField(kThreads));
  usage.open_fds = OpenFds();
  usage.start_time_seconds =
      NumberAfter("/proc/stat", "btime") + StatField(kStartTime) / sysconf(_SC_CLK_TCK);
  return usage;
}

}  // namespace firstbyte

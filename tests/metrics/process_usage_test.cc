#include "metrics/process_usage.h"

#include <ctime>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

TEST(ProcessUsage, CountsFilesAndThreads) {
  const ProcessUsage before = ReadProcessUsage();
  std::vector<std::ifstream> files;
  for (int i = 0; i < 3; ++i) files.emplace_back("/proc/self/stat");
  std::promise<void> end;
  std::thread thread([ended = end.get_future()] { ended.wait(); });
  const ProcessUsage after = ReadProcessUsage();
  end.set_value();
  thread.join();
  EXPECT_EQ(after.open_fds - before.open_fds, 3);
  EXPECT_EQ(after.threads - before.threads, 1);
}

TEST(ProcessUsage, MemoryAndCpuGrowWithUse) {
  const ProcessUsage before = ReadProcessUsage();
  std::vector<char> used(64 << 20, 1);
  ProcessUsage after;
  do after = ReadProcessUsage();
  while (after.cpu_seconds == before.cpu_seconds);
  EXPECT_GT(after.resident_bytes - before.resident_bytes, 32 << 20);
  EXPECT_EQ(used.back(), 1);
}

TEST(ProcessUsage, TheHeapIsWhatIsNotFreed) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer has its own malloc";
#endif
  constexpr int kSize = 1000, kCount = 1000;
  const int64_t before = ReadProcessUsage().heap_bytes;
  std::vector<std::string> used(kCount, std::string(kSize, 'x'));
  EXPECT_GE(ReadProcessUsage().heap_bytes - before, kSize * kCount);
  used = {};
  EXPECT_LT(ReadProcessUsage().heap_bytes - before, kSize * kCount / 10);
}

TEST(ProcessUsage, TheStartIsNotLongAgo) {
  const double now = static_cast<double>(std::time(nullptr));
  EXPECT_GT(ReadProcessUsage().start_time_seconds, now - 600);
  EXPECT_LE(ReadProcessUsage().start_time_seconds, now + 2);
}

}  // namespace
}  // namespace firstbyte

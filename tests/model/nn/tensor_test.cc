#include "model/nn/tensor.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include <sys/mman.h>

#include "gtest/gtest.h"

namespace firstbyte::nn {
namespace {

int64_t ResidentPages(const Tensor& tensor) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  const auto first = reinterpret_cast<uintptr_t>(tensor.data()) / page * page;
  const int64_t bytes = tensor.size() * int64_t{sizeof(float)};
  std::vector<unsigned char> resident(bytes / page);
  EXPECT_EQ(mincore(reinterpret_cast<void*>(first), resident.size() * page, resident.data()), 0);
  return std::count_if(resident.begin(), resident.end(), [](unsigned char r) { return r & 1; });
}

TEST(Tensor, IsZerosOnAVectorsBoundary) {
  for (int64_t size : {0, 1, 1000, 1 << 20}) {
    const Tensor tensor({size, 3});
    ASSERT_EQ(tensor.size(), 3 * size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data()) % 64, 0u) << size;
    EXPECT_TRUE(std::all_of(tensor.data(), tensor.data() + tensor.size(), [](float value) {
      return value == 0;
    })) << size;
  }
}

TEST(Tensor, CachesThatNobodyUsesTakeNoMemory) {
  const Tensor caches({512, 1 << 16});  // 128 MiB
  EXPECT_EQ(ResidentPages(caches), 0);
  caches.data()[0] = 1;
  EXPECT_GE(ResidentPages(caches), 1);
  EXPECT_LE(ResidentPages(caches), 512) << "a large page";
}

TEST(Tensor, MoreThanThereIsThrows) {
  EXPECT_ANY_THROW(Tensor({int64_t{1} << 20, int64_t{1} << 20, 1 << 10}));
}

}  // namespace
}  // namespace firstbyte::nn

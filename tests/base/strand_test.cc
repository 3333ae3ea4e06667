#include "base/strand.h"

#include <atomic>
#include <vector>

#include "gtest/gtest.h"

namespace firstbyte {
namespace {

TEST(ThreadPool, RunsWhatWasPostedBeforeDestruction) {
  std::atomic<int> done{0};
  {
    ThreadPool pool(2, "test");
    for (int i = 0; i < 100; ++i) pool.Post([&] { ++done; });
  }
  EXPECT_EQ(done, 100);
}

TEST(Strand, KeepsOrderAndNeverOverlaps) {
  std::vector<int> order;  // unguarded on purpose: the strand is the guard
  std::atomic<int> other{0};
  {
    ThreadPool pool(4, "test");
    Strand strand(&pool), second(&pool);
    for (int i = 0; i < 1000; ++i) {
      strand.Post([&order, i] { order.push_back(i); });
      second.Post([&other] { ++other; });
    }
  }
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[i], i);
  EXPECT_EQ(other, 1000);
}

}  // namespace
}  // namespace firstbyte

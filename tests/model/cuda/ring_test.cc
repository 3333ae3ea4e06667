#include "model/cuda/ring.h"

#include "tests/model/cuda/executor.h"
#include "tests/model/cuda/random_case.h"

namespace firstbyte::cuda {
namespace {

class RingTest : public KernelTest {
 protected:
  // Sessions come and go for a few times the ring's length; a host copy does what the device
  // should.
  template <typename T>
  void Check(uint64_t seed) {
    SCOPED_TRACE(seed);
    RandomCase random(seed);
    const int rows = random.OneOf({1, 3, 130}), slots = rows + random.Between(0, 3);
    const int capacity = random.OneOf({1, 2, 5}), width = random.OneOf({1, 31, 256, 300});
    Executor& e = Fresh();
    std::vector<T> expected = random.Normals<T>(int64_t{slots} * capacity * width);
    std::vector<int64_t> counts(slots);
    for (int64_t& count : counts) count = random.Between(0, 9) + (int64_t{1} << 40);
    T* ring = e.Put(expected);
    int64_t* written = e.Put(counts);
    for (int step = 0; step < 3 * capacity; ++step) {
      const std::vector<int32_t> slot_of = random.Slots(rows, slots);
      std::vector<T> from = random.Normals<T>(int64_t{rows} * width);
      const bool clear = random.Between(0, 3) == 0;
      if (clear) from.assign(from.size(), T{});
      const int32_t* at = e.Put(slot_of);
      e.Run(RingWriteStep<T>{clear ? nullptr : e.Put(from), ring, written, at, rows, capacity,
                             width});
      e.Run(AdvanceStep{written, at, rows});
      for (int row = 0; row < rows; ++row) {
        const int slot = slot_of[row];
        if (slot < 0) continue;
        const int64_t place = counts[slot]++ % capacity;
        std::copy_n(from.begin() + int64_t{row} * width, width,
                    expected.begin() + (int64_t{slot} * capacity + place) * width);
      }
      ASSERT_EQ(e.Get(written, slots), counts) << "step " << step;
    }
    const std::vector<T> made = e.Get(ring, expected.size());
    for (size_t i = 0; i < made.size(); ++i) {
      ASSERT_EQ(ToFloat(made[i]), ToFloat(expected[i])) << "at " << i;
    }
  }
};

TEST_P(RingTest, EachSessionWritesWhereItsOwnRingStands) {
  for (uint64_t seed = 0; seed < 20; ++seed) ASSERT_NO_FATAL_FAILURE(Check<float>(seed));
}

TEST_P(RingTest, AlsoBf16) {
  for (uint64_t seed = 100; seed < 110; ++seed) ASSERT_NO_FATAL_FAILURE(Check<Bf16>(seed));
}

INSTANTIATE_TEST_SUITE_P(On, RingTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda

#include "model/cuda/attend.h"

#include <cmath>

#include "tests/model/cuda/executor.h"
#include "tests/model/cuda/random_case.h"

namespace firstbyte::cuda {
namespace {

constexpr float kUntouched = -77;

// A step on the host, with the places beyond each length full of NaN.
template <typename T>
struct AttendCase {
  int rows, slots, tokens, kv_heads, group, head_dim, capacity, splits;
  int64_t stride;
  bool causal;
  std::vector<int32_t> slot_of, lengths;
  std::vector<T> queries, keys, values;

  // `together`: of sizes whose queries go through the cache together.
  explicit AttendCase(uint64_t seed, bool together = false) {
    RandomCase random(seed);
    rows = random.Between(1, 5);
    slots = rows + random.Between(0, 3);
    tokens = random.OneOf({1, 1, 3, 18});
    kv_heads = random.Between(1, 3);
    group = random.OneOf({1, 2, 3, 8});
    head_dim = random.OneOf({8, 24, 64, 128, 256});
    capacity = random.OneOf({1, 31, 128, 129, 300});
    splits = random.OneOf({1, 2, 3, 7});
    causal = !together && random.Between(0, 1) == 1;
    if (together) {
      tokens = random.OneOf({16, 18, 37});
      head_dim = random.OneOf({8, 24, 64});
      splits = 1;
    }
    stride = (group + 2) * kv_heads * head_dim;
    slot_of = random.Slots(rows, slots);
    for (int i = 0; i < slots; ++i) {
      lengths.push_back(random.OneOf({0, 1, capacity, random.Between(0, capacity)}));
    }
    queries = random.Normals<T>(rows * tokens * stride);
    keys = random.Normals<T>(int64_t{slots} * kv_heads * capacity * head_dim);
    values = random.Normals<T>(static_cast<int64_t>(keys.size()));
    for (size_t i = 0; i < keys.size(); ++i) {
      const int64_t place = static_cast<int64_t>(i) / head_dim;
      if (place % capacity >= lengths[place / capacity / kv_heads]) {
        keys[i] = values[i] = Of<T>(kNan);
      }
    }
  }

  int heads() const { return kv_heads * group; }
  float scale() const { return 1 / std::sqrt(static_cast<float>(head_dim)); }
  int64_t OutAt(int row, int head) const { return (int64_t{row} * heads() + head) * head_dim; }

  std::vector<T> Run(Executor& executor) const {
    const int queries_count = rows * tokens * heads();
    std::vector<float> extremes(queries_count * splits * 2, kNan);
    std::vector<float> partials(int64_t{queries_count} * splits * head_dim, kNan);
    std::vector<T> out(int64_t{queries_count} * head_dim, Of<T>(kUntouched));
    T* made = executor.Put(out);
    executor.Run(AttendStep<T>{.queries = executor.Put(queries),
                               .query_stride = stride,
                               .keys = executor.Put(keys),
                               .values = executor.Put(values),
                               .slots = executor.Put(slot_of),
                               .lengths = executor.Put(lengths),
                               .extremes = executor.Put(extremes),
                               .partials = executor.Put(partials),
                               .out = made,
                               .scale = scale(),
                               .causal = causal,
                               .rows = rows,
                               .tokens = tokens,
                               .heads = heads(),
                               .kv_heads = kv_heads,
                               .head_dim = head_dim,
                               .capacity = capacity,
                               .splits = splits});
    return executor.Get(made, out.size());
  }

  // Plainly: softmax over all keys, in double.
  std::vector<double> Expected(int row, int head) const {
    const int slot = slot_of[row / tokens];
    std::vector<double> out(head_dim, 0.0), weights;
    const T* query = queries.data() + row * stride + head * head_dim;
    const int64_t cache = (int64_t{slot} * kv_heads + head / group) * capacity * head_dim;
    const int length = lengths[slot] - (causal ? tokens - 1 - row % tokens : 0);
    for (int j = 0; j < length; ++j) {
      double dot = 0;
      for (int d = 0; d < head_dim; ++d) {
        dot += double{ToFloat(query[d])} * ToFloat(keys[cache + j * head_dim + d]);
      }
      weights.push_back(dot * scale());
    }
    const double top = weights.empty() ? 0 : *std::max_element(weights.begin(), weights.end());
    double total = 0;
    for (double& weight : weights) total += weight = std::exp(weight - top);
    for (int j = 0; j < length; ++j) {
      for (int d = 0; d < head_dim; ++d) {
        out[d] += weights[j] / total * ToFloat(values[cache + j * head_dim + d]);
      }
    }
    return out;
  }
};

class AttendTest : public KernelTest {
 protected:
  template <typename T>
  void Check(uint64_t seed, bool together = false) {
    const AttendCase<T> c(seed, together);
    const std::vector<T> out = c.Run(Fresh());
    for (int row = 0; row < c.rows * c.tokens; ++row) {
      for (int head = 0; head < c.heads(); ++head) {
        const bool idle = c.slot_of[row / c.tokens] < 0;
        const std::vector<double> expected =
            idle ? std::vector<double>(c.head_dim, kUntouched) : c.Expected(row, head);
        for (int d = 0; d < c.head_dim; ++d) {
          ASSERT_NEAR(ToFloat(out[c.OutAt(row, head) + d]), expected[d], 3 * kTolerance<T>)
              << "case " << seed << " row " << row << " head " << head << " of " << d;
        }
      }
    }
  }
};

TEST_P(AttendTest, IsSoftmaxOverEachSlotsOwnKeys) {
  for (uint64_t seed = 0; seed < 40; ++seed) ASSERT_NO_FATAL_FAILURE(Check<float>(seed));
}

TEST_P(AttendTest, AlsoOfBf16) {
  for (uint64_t seed = 100; seed < 120; ++seed) ASSERT_NO_FATAL_FAILURE(Check<Bf16>(seed));
}

TEST_P(AttendTest, AlsoOfManyQueriesTogether) {
  for (uint64_t seed = 300; seed < 330; ++seed) {
    ASSERT_NO_FATAL_FAILURE(Check<float>(seed, /*together=*/true));
  }
  for (uint64_t seed = 400; seed < 410; ++seed) {
    ASSERT_NO_FATAL_FAILURE(Check<Bf16>(seed, /*together=*/true));
  }
}

TEST_P(AttendTest, ASessionIsTheSameAloneInTheSmallestBucket) {
  for (uint64_t seed = 200; seed < 215; ++seed) {
    const AttendCase<float> all(seed, /*together=*/seed % 3 == 0);
    const std::vector<float> together = all.Run(Fresh());
    for (int row = 0; row < all.rows; ++row) {
      AttendCase<float> one = all;
      const int64_t size = all.OutAt(all.tokens, 0), queries = all.tokens * all.stride;
      one.rows = 1;
      one.slot_of = {all.slot_of[row]};
      one.queries.assign(all.queries.begin() + row * queries,
                         all.queries.begin() + (row + 1) * queries);
      const std::vector<float> expected(together.begin() + row * size,
                                        together.begin() + (row + 1) * size);
      ASSERT_EQ(one.Run(Fresh()), expected) << "case " << seed << " row " << row;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(On, AttendTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda

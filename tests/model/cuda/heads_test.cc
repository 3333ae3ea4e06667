#include "model/cuda/heads.h"

#include <cmath>

#include "tests/model/cuda/executor.h"
#include "tests/model/cuda/random_case.h"

namespace firstbyte::cuda {
namespace {

constexpr float kEpsilon = 1e-5f, kUntouched = -77;

template <typename T>
struct HeadsCase {
  int rows, slots, tokens, heads, kv_heads, head_dim, capacity;
  bool interleaved, normal, offset, mixes;
  float mix;
  std::vector<int32_t> slot_of, places;
  std::vector<int64_t> positions;
  std::vector<T> qkv, mixed, cache;
  std::vector<float> query_gain, key_gain, offsets;
  std::vector<double> frequencies;

  struct Made {
    std::vector<T> qkv, keys, values;
  };

  explicit HeadsCase(uint64_t seed) {
    RandomCase random(seed);
    rows = random.Between(1, 5);
    slots = rows + random.Between(0, 3);
    tokens = random.OneOf({1, 1, 5, 18});
    kv_heads = random.Between(1, 3);
    heads = kv_heads * random.Between(1, 4);
    head_dim = random.OneOf({2, 16, 64, 96, 256});
    capacity = tokens + random.Between(0, 20);
    interleaved = random.Between(0, 1) == 1;
    normal = random.Between(0, 1) == 1;
    offset = random.Between(0, 1) == 1;
    mixes = random.Between(0, 1) == 1;
    mix = random.Normal();
    slot_of = random.Slots(rows, slots);
    for (int i = 0; i < slots; ++i) {
      places.push_back(random.Between(0, capacity - 1));  // most run over the ring's end
      positions.push_back(random.Between(0, 1'000'000'000));
    }
    qkv = random.Normals<T>(int64_t{rows} * tokens * all_heads() * head_dim);
    mixed = random.Normals<T>(static_cast<int64_t>(qkv.size()));
    cache.assign(int64_t{slots} * kv_heads * capacity * head_dim, Of<T>(kUntouched));
    query_gain = random.Normals<float>(head_dim);
    key_gain = random.Normals<float>(head_dim);
    offsets = random.Normals<float>(int64_t{tokens} * head_dim / 2);
    for (int i = 0; i < head_dim / 2; ++i) {
      frequencies.push_back(std::pow(1e4, -2.0 * i / head_dim));
    }
  }

  int all_heads() const { return heads + 2 * kv_heads; }

  Made Run(Executor& e) const {
    T *split = e.Put(qkv), *keys = e.Put(cache), *values = e.Put(cache);
    e.Run(HeadsStep<T>{.qkv = split,
                       .query_gain = normal ? e.Put(query_gain) : nullptr,
                       .key_gain = normal ? e.Put(key_gain) : nullptr,
                       .frequencies = e.Put(frequencies),
                       .offsets = offset ? e.Put(offsets) : nullptr,
                       .slots = e.Put(slot_of),
                       .positions = e.Put(positions),
                       .places = e.Put(places),
                       .keys = keys,
                       .values = values,
                       .epsilon = kEpsilon,
                       .interleaved = interleaved,
                       .rows = rows,
                       .tokens = tokens,
                       .heads = heads,
                       .kv_heads = kv_heads,
                       .head_dim = head_dim,
                       .capacity = capacity,
                       .mixed = mixes ? e.Put(mixed) : nullptr,
                       .mix = mix});
    return {e.Get(split, qkv.size()), e.Get(keys, cache.size()), e.Get(values, cache.size())};
  }

  // Plainly: a head normalised and rotated, in double.
  std::vector<double> Turned(int slot, int token, const T* x,
                             const std::vector<float>& gain) const {
    const int half = head_dim / 2;
    std::vector<double> y(head_dim), out(head_dim);
    for (int i = 0; i < head_dim; ++i) y[i] = ToFloat(x[i]);
    double squares = 0;
    for (double v : y) squares += v * v;
    for (int i = 0; normal && i < head_dim; ++i) {
      y[i] *= gain[i] / std::sqrt(squares / head_dim + kEpsilon);
    }
    for (int i = 0; i < half; ++i) {
      const double shift = offset ? offsets[token * half + i] : 0;
      const double angle = static_cast<double>(positions[slot]) * frequencies[i] + shift;
      const double a = y[interleaved ? 2 * i : i], b = y[interleaved ? 2 * i + 1 : half + i];
      out[i] = a * std::cos(angle) - b * std::sin(angle);
      out[half + i] = b * std::cos(angle) + a * std::sin(angle);
    }
    return out;
  }

  // The same step done plainly.
  struct Expectation {
    std::vector<double> qkv, keys, values;
  };
  Expectation Expected() const {
    Expectation e;
    for (const T& v : qkv) e.qkv.push_back(ToFloat(v));
    e.keys.assign(cache.size(), kUntouched);
    e.values = e.keys;
    for (int row = 0; row < rows * tokens; ++row) {
      const int slot = slot_of[row / tokens], token = row % tokens;
      if (slot < 0) continue;
      const T* from = qkv.data() + int64_t{row} * all_heads() * head_dim;
      for (int h = 0; h < heads; ++h) {
        const std::vector<double> q = Turned(slot, token, from + h * head_dim, query_gain);
        std::copy(q.begin(), q.end(), e.qkv.begin() + (row * all_heads() + h) * head_dim);
      }
      for (int h = 0; h < kv_heads; ++h) {
        const int place = (places[slot] + token) % capacity;
        const int64_t to = ((int64_t{slot} * kv_heads + h) * capacity + place) * head_dim;
        const std::vector<double> k = Turned(slot, token, from + (heads + h) * head_dim, key_gain);
        std::copy(k.begin(), k.end(), e.keys.begin() + to);
        for (int d = 0; d < head_dim; ++d) {
          const int64_t at = from - qkv.data() + (heads + kv_heads + h) * head_dim + d;
          const double v = ToFloat(qkv[at]);
          e.values[to + d] = mixes ? v + mix * (ToFloat(mixed[at]) - v) : v;
        }
      }
    }
    return e;
  }
};

class HeadsTest : public KernelTest {
 protected:
  template <typename T>
  static void Near(const std::vector<T>& made, const std::vector<double>& expected) {
    for (size_t i = 0; i < made.size(); ++i) {
      ASSERT_NEAR(ToFloat(made[i]), expected[i], kTolerance<T> * (1 + std::abs(expected[i])))
          << "at " << i;
    }
  }
  template <typename T>
  void Check(uint64_t seed) {
    SCOPED_TRACE(seed);
    const HeadsCase<T> c(seed);
    const auto made = c.Run(Fresh());
    const auto expected = c.Expected();
    ASSERT_NO_FATAL_FAILURE(Near(made.qkv, expected.qkv));
    ASSERT_NO_FATAL_FAILURE(Near(made.keys, expected.keys));
    ASSERT_NO_FATAL_FAILURE(Near(made.values, expected.values));
  }
};

TEST_P(HeadsTest, NormalisesTurnsAndWritesWhereTheRingStands) {
  for (uint64_t seed = 0; seed < 60; ++seed) ASSERT_NO_FATAL_FAILURE(Check<float>(seed));
}

TEST_P(HeadsTest, AlsoBf16) {
  for (uint64_t seed = 100; seed < 130; ++seed) ASSERT_NO_FATAL_FAILURE(Check<Bf16>(seed));
}

INSTANTIATE_TEST_SUITE_P(On, HeadsTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda

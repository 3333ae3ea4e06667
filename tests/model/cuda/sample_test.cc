#include "model/cuda/sample.h"

#include <cmath>
#include <numeric>

#include "tests/model/cuda/executor.h"
#include "tests/model/cuda/random_case.h"

namespace firstbyte::cuda {
namespace {

struct SampleCase {
  int rows = 1, slots = 1, vocabulary = 1;
  std::vector<float> logits, temperatures, top_ps, penalties;
  std::vector<int32_t> slot_of, top_ks;
  std::vector<uint64_t> seeds;
  std::vector<int64_t> draws;
  std::vector<uint32_t> seen;

  struct Made {
    std::vector<int32_t> tokens;
    std::vector<int64_t> draws;
    std::vector<uint32_t> seen;
    bool operator==(const Made&) const = default;
  };

  int words() const { return (vocabulary + 31) / 32; }

  Made Run(Executor& e) const {
    int64_t* drawn = e.Put(draws);
    uint32_t* marks = e.Put(seen);
    int32_t* tokens = e.Put(std::vector<int32_t>(rows, -7));
    e.Run(SampleStep{e.Put(logits), e.Put(slot_of), e.Put(seeds), drawn, e.Put(temperatures),
                     e.Put(top_ks), e.Put(top_ps), e.Put(penalties), marks, tokens, rows,
                     vocabulary});
    return {e.Get(tokens, rows), e.Get(drawn, slots), e.Get(marks, seen.size())};
  }
};

SampleCase RandomSampling(uint64_t seed) {
  RandomCase random(seed);
  SampleCase c;
  c.rows = random.Between(1, 6);
  c.slots = c.rows + random.Between(0, 3);
  c.vocabulary = random.OneOf({1, 2, 31, 64, 257, 1000, 5000});
  c.logits = random.Normals<float>(int64_t{c.rows} * c.vocabulary);
  for (float& logit : c.logits) {
    logit *= 3;
    if (random.Between(0, 9) == 0) logit = std::round(logit);  // so that there are equals
    if (random.Between(0, 99) == 0) logit = -std::numeric_limits<float>::infinity();
    if (random.Between(0, 99) == 0) logit = kNan;
  }
  c.slot_of = random.Slots(c.rows, c.slots);
  for (int i = 0; i < c.slots; ++i) {
    c.seeds.push_back(static_cast<uint64_t>(random.Between(0, 1 << 30)) << 20);
    c.draws.push_back(random.Between(0, 1000));
    c.temperatures.push_back(static_cast<float>(random.OneOf({0, 1, 3, 10, 20})) / 10);
    c.top_ks.push_back(random.OneOf({0, 1, 2, 40, c.vocabulary, c.vocabulary + 1}));
    c.top_ps.push_back(static_cast<float>(random.OneOf({1, 30, 90, 99, 100})) / 100);
    c.penalties.push_back(static_cast<float>(random.OneOf({10, 11, 15})) / 10);
  }
  c.seen.assign(int64_t{c.slots} * c.words(), 0);
  for (uint32_t& word : c.seen) word = static_cast<uint32_t>(random.Between(0, 255)) << 7;
  return c;
}

// What takes part for a row: tokens and their shares, likeliest first. Plainly, by sorting.
struct Choice {
  int token;
  float value;
  uint64_t share;
};
std::vector<Choice> Choices(const SampleCase& c, int row) {
  const int slot = c.slot_of[row];
  std::vector<Choice> all;
  for (int token = 0; token < c.vocabulary; ++token) {
    float v = c.logits[int64_t{row} * c.vocabulary + token];
    const uint32_t word = c.seen[int64_t{slot} * c.words() + token / 32];
    if (word >> (token % 32) & 1) v = v > 0 ? v / c.penalties[slot] : v * c.penalties[slot];
    if (c.temperatures[slot] > 0) v /= c.temperatures[slot];
    if (std::isnan(v) || v < -3e38f) v = -std::numeric_limits<float>::max();
    all.push_back({token, v, 0});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Choice& a, const Choice& b) { return a.value > b.value; });
  for (Choice& choice : all) {
    choice.share = static_cast<uint64_t>(std::exp(choice.value - all[0].value) * 0x1p40f);
  }
  auto cut = [&all](size_t kept) {  // equals stay together
    while (kept < all.size() && all[kept].value == all[kept - 1].value) ++kept;
    all.resize(kept);
  };
  const auto k = static_cast<size_t>(c.top_ks[slot]);
  if (k > 0 && k < all.size()) cut(k);
  if (c.top_ps[slot] < 1) {
    double total = 0, sum = 0;
    for (const Choice& choice : all) total += static_cast<double>(choice.share);
    size_t kept = 0;
    while (kept < all.size() && (kept == 0 || sum < c.top_ps[slot] * total)) {
      sum += static_cast<double>(all[kept++].share);
    }
    cut(kept);
  }
  return all;
}

int ExpectedToken(const SampleCase& c, int row) {
  std::vector<Choice> kept = Choices(c, row);
  const int slot = c.slot_of[row];
  if (c.temperatures[slot] <= 0) return kept[0].token;
  std::sort(kept.begin(), kept.end(),
            [](const Choice& a, const Choice& b) { return a.token < b.token; });
  uint64_t total = 0;
  for (const Choice& choice : kept) total += choice.share;
  const auto draw = static_cast<uint64_t>(c.draws[slot]), seed = c.seeds[slot];
  const auto words =
      kernels::Philox4x32({static_cast<uint32_t>(draw), static_cast<uint32_t>(draw >> 32), 3, 0},
                          {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t random = uint64_t{words[1]} << 32 | words[0];
  __extension__ using Wide = unsigned __int128;
  constexpr uint64_t kWord = uint64_t{1} << 32;
  auto left = static_cast<uint64_t>(Wide{random} * total / kWord / kWord);
  size_t i = 0;
  for (; left >= kept[i].share; ++i) left -= kept[i].share;
  return kept[i].token;
}

class SampleTest : public KernelTest {};

TEST_P(SampleTest, DrawsFromWhatPenaltyTemperatureTopKAndTopPLeave) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    const SampleCase c = RandomSampling(seed);
    const SampleCase::Made made = c.Run(Fresh());
    SampleCase::Made expected = {std::vector<int32_t>(c.rows, -1), c.draws, c.seen};
    for (int row = 0; row < c.rows; ++row) {
      const int slot = c.slot_of[row];
      if (slot < 0) continue;
      const int token = expected.tokens[row] = ExpectedToken(c, row);
      ++expected.draws[slot];
      expected.seen[int64_t{slot} * c.words() + token / 32] |= uint32_t{1} << token % 32;
    }
    ASSERT_EQ(made.tokens, expected.tokens) << "case " << seed;
    ASSERT_EQ(made, expected) << "case " << seed;
  }
}

TEST_P(SampleTest, ManyDrawsFollowTheProbabilities) {
  constexpr int kDraws = 4000;
  SampleCase c;
  c.rows = c.slots = kDraws;  // one session each, with seeds of their own
  c.vocabulary = 4;
  const float probabilities[] = {0.1f, 0.2f, 0.3f, 0.4f};
  for (int i = 0; i < kDraws; ++i) {
    for (float p : probabilities) c.logits.push_back(std::log(p));
    c.slot_of.push_back(i);
    c.seeds.push_back(i);
  }
  c.draws.assign(kDraws, 0);
  c.temperatures.assign(kDraws, 1);
  c.top_ks.assign(kDraws, 3);  // without the first
  c.top_ps.assign(kDraws, 1);
  c.penalties.assign(kDraws, 1);
  c.seen.assign(kDraws, 0);
  std::vector<int> counts(4, 0);
  for (int token : c.Run(*executor_).tokens) ++counts[token];
  EXPECT_EQ(counts[0], 0);
  for (int i = 1; i < 4; ++i) {
    const double expected = kDraws * probabilities[i] / 0.9;
    EXPECT_NEAR(counts[i], expected, 4 * std::sqrt(expected)) << i;
  }
}

// Of many equals at the bound too many can be drawn to be listed, in all or by one thread.
TEST_P(SampleTest, ManyEqualsStayTogether) {
  for (int equals : {3, 30, 400, 600, 3000}) {
    SampleCase c = RandomSampling(6);
    c.vocabulary = 5000;
    c.logits.assign(int64_t{c.rows} * c.vocabulary, -1);
    c.seen.assign(int64_t{c.slots} * c.words(), 0);
    std::fill(c.temperatures.begin(), c.temperatures.end(), 1.0f);
    std::fill(c.top_ks.begin(), c.top_ks.end(), 7);
    for (int row = 0; row < c.rows; ++row) {
      c.slot_of[row] = row;
      for (int i = 0; i < equals; ++i) {
        // Row 0: of tokens of two threads, as far as there are so many.
        const int token = row == 0 && equals < 40 ? i / 2 * 256 + i % 2 : i;
        c.logits[int64_t{row} * c.vocabulary + token] = 2;
      }
    }
    const std::vector<int32_t> made = c.Run(Fresh()).tokens;
    for (int row = 0; row < c.rows; ++row) {
      EXPECT_EQ(made[row], ExpectedToken(c, row)) << equals << " equals, row " << row;
    }
  }
}

TEST_P(SampleTest, NothingButNoNumbersStillDrawsSomething) {
  SampleCase c = RandomSampling(3);
  std::fill(c.logits.begin(), c.logits.end(), kNan);
  const SampleCase::Made made = c.Run(*executor_);
  for (int row = 0; row < c.rows; ++row) {
    if (c.slot_of[row] < 0) continue;
    EXPECT_GE(made.tokens[row], 0);
    EXPECT_LT(made.tokens[row], c.vocabulary);
  }
}

INSTANTIATE_TEST_SUITE_P(On, SampleTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda

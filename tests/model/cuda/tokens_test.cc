#include "model/cuda/tokens.h"

#include "tests/model/cuda/executor.h"
#include "tests/model/cuda/random_case.h"

namespace firstbyte::cuda {
namespace {

class TokensTest : public KernelTest {};

TEST_P(TokensTest, NoiseIsTheHosts) {
  constexpr uint64_t kSeed = 0x123456789ABCDEF;
  for (int count : {1, 5, 1024, 3001}) {
    Executor& e = Fresh();
    auto* noise = e.Put(std::vector<float>(count + 1, -77));
    e.Run(NoiseStep<float>{noise, count, kSeed, 0.5f});
    std::vector<float> expected(count);
    kernels::UniformNoise(kSeed, 0, count, kernels::NoisePurpose::kWeights, expected.data());
    for (float& x : expected) x *= 0.5f;
    expected.push_back(-77);
    EXPECT_EQ(e.Get(noise, count + 1), expected);
  }
}

TEST_P(TokensTest, EmbeddingsAreTheRowsOfTheirTokens) {
  constexpr int kRows = 4, kTokens = 3, kWidth = 300, kVocabulary = 11;
  RandomCase random(1);
  const auto table = random.Normals<Bf16>(kVocabulary * kWidth);
  std::vector<int32_t> ids;
  for (int i = 0; i < kRows * kTokens; ++i) ids.push_back(random.Between(0, kVocabulary - 1));
  const std::vector<int32_t> slots = {2, -1, 0, 5};
  auto* x = executor_->Put(std::vector<float>(kRows * kTokens * kWidth, -77));
  executor_->Run(EmbedStep<Bf16>{executor_->Put(table), executor_->Put(ids), executor_->Put(slots),
                                 x, kRows, kTokens, kWidth});
  const std::vector<float> made = executor_->Get(x, kRows * kTokens * kWidth);
  for (size_t i = 0; i < made.size(); ++i) {
    const size_t token = i / kWidth;
    const float want = ToFloat(table[ids[token] * kWidth + i % kWidth]);
    ASSERT_EQ(made[i], slots[token / kTokens] < 0 ? -77 : want) << "at " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(On, TokensTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda

#include "model/kernels/tokens.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tests/model/kernels/kernel_fixture.h"

namespace firstbyte::kernels {
namespace {

constexpr int kTokens = 7, kHeads = 2, kDim = 48, kWidth = kHeads * kDim, kCapacity = 48;
constexpr float kScale = 0.2f;

class TokensTest : public KernelTest {
 protected:
  // A ring whose places past `length` hold what must not matter.
  struct Ring {
    Ring(int length, uint32_t seed)
        : length(length),
          keys(Random(kWidth * kCapacity, seed, 1.0f)),
          values(Random(kWidth * kCapacity, seed + 1, 1.0f)) {
      for (int row = 0; row < kWidth; ++row) {
        std::fill(&keys[row * kCapacity + length], &keys[row * kCapacity] + kCapacity, 1e9f);
      }
    }
    int length;
    std::vector<float> keys, values;
  };

  std::vector<float> Run(const std::vector<float>& queries, const std::vector<const Ring*>& rings) {
    std::vector<const float*> keys, values;
    std::vector<int32_t> lengths;
    for (const Ring* ring : rings) {
      keys.push_back(ring->keys.data());
      values.push_back(ring->values.data());
      lengths.push_back(ring->length);
    }
    const int sessions = static_cast<int>(rings.size());
    std::vector<float> out(sessions * kTokens * kWidth), scratch(kTokens * kCapacity);
    table().block_attention({queries.data(), kWidth, keys.data(), values.data(), lengths.data(),
                             out.data(), scratch.data(), kScale, sessions, kTokens, kHeads, kDim,
                             kCapacity});
    return out;
  }
};

TEST_P(TokensTest, EveryTokenSeesTheFirstKeys) {
  for (int length : {1, 7, 16, 33, 48}) {
    Ring ring(length, 10 + length);
    auto queries = Random(kTokens * kWidth, 3, 1.0f);
    auto out = Run(queries, {&ring});
    for (int t = 0; t < kTokens; ++t) {
      for (int h = 0; h < kHeads; ++h) {
        std::vector<double> sum(kDim, 0.0);
        double total = 0;
        for (int j = 0; j < length; ++j) {
          double dot = 0;
          for (int d = 0; d < kDim; ++d) {
            dot += double{queries[t * kWidth + h * kDim + d]} *
                   ring.keys[(h * kDim + d) * kCapacity + j];
          }
          const double weight = std::exp(dot * kScale);
          total += weight;
          for (int d = 0; d < kDim; ++d) {
            sum[d] += weight * ring.values[(h * kCapacity + j) * kDim + d];
          }
        }
        for (int d = 0; d < kDim; ++d) {
          ASSERT_NEAR(out[t * kWidth + h * kDim + d], sum[d] / total, 1e-5)
              << "length " << length << " token " << t << " head " << h;
        }
      }
    }
  }
}

TEST_P(TokensTest, SessionsOfABatchDoNotMeet) {
  Ring mine(21, 1), other(40, 5);
  auto queries = Random(2 * kTokens * kWidth, 4, 1.0f);
  auto both = Run(queries, {&other, &mine});
  auto alone = Run({queries.begin() + kTokens * kWidth, queries.end()}, {&mine});
  ASSERT_EQ(0, std::memcmp(alone.data(), &both[alone.size()], sizeof(float) * alone.size()));
}

INSTANTIATE_TEST_SUITE_P(Isas, TokensTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::kernels

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

TEST_P(TokensTest, ModulateAndGateMatchTheirFormula) {
  const int sessions = 2, tokens = 3, width = 21, rows = sessions * tokens;
  auto x = Random(rows * width, 1), shift = Random(sessions * width, 2);
  auto scale = Random(sessions * width, 3), y = Random(rows * width, 4), gated = x;
  std::vector<float> modulated(rows * width);
  table().modulate({x.data(), shift.data(), scale.data(), width, 1e-6f, modulated.data(), sessions,
                    tokens, width});
  table().gate({gated.data(), y.data(), shift.data(), width, sessions, tokens, width});
  for (int r = 0; r < rows; ++r) {
    double squares = 0;
    for (int i = 0; i < width; ++i) squares += double{x[r * width + i]} * x[r * width + i];
    for (int i = 0; i < width; ++i) {
      const int at = r * width + i, by = r / tokens * width + i;
      EXPECT_NEAR(modulated[at],
                  x[at] / std::sqrt(squares / width + 1e-6) * (1 + scale[by]) + shift[by], 3e-6);
      EXPECT_NEAR(gated[at], x[at] + shift[by] * y[at], 1e-6);
    }
  }
}

TEST_P(TokensTest, HeadsAreNormalisedRotatedAndWrittenToTheRing) {
  const int sessions = 2, tokens = 3, heads = 2, width = heads * kHeadDim, rows = sessions * tokens;
  auto qkv = Random(rows * 3 * width, 1), gains = Random(2 * kHeadDim, 2),
       angles = Random(rows * 32, 3, 1.0f);
  std::vector<float> cosines(rows * 32), sines(rows * 32);
  for (int i = 0; i < rows * 32; ++i) {
    cosines[i] = std::cos(angles[i]);
    sines[i] = std::sin(angles[i]);
  }
  std::vector<float> keys(sessions * width * kCapacity, 5.0f), values = keys, before = qkv;
  float* key_rings[] = {keys.data(), &keys[width * kCapacity]};
  float* value_rings[] = {values.data(), &values[width * kCapacity]};
  const int32_t places[] = {4, 7};
  table().heads({qkv.data(), gains.data(), &gains[kHeadDim], cosines.data(), sines.data(),
                 key_rings, value_rings, places, 1e-6f, sessions, tokens, heads, kCapacity});
  auto expected = [&](int row, int part, int h, int i) {
    const float* x = &before[(row * 3 + part) * width + h * kHeadDim];
    double squares = 0;
    for (int j = 0; j < kHeadDim; ++j) squares += double{x[j]} * x[j];
    const double scale = 1 / std::sqrt(squares / kHeadDim + 1e-6);
    const double a = x[i % 32] * scale * gains[part * kHeadDim + i % 32];
    const double b = x[i % 32 + 32] * scale * gains[part * kHeadDim + i % 32 + 32];
    const double c = cosines[row * 32 + i % 32], s = sines[row * 32 + i % 32];
    return i < 32 ? a * c - b * s : a * s + b * c;
  };
  for (int row = 0; row < rows; ++row) {
    const int session = row / tokens, place = places[session] + row % tokens;
    for (int h = 0; h < heads; ++h) {
      for (int i = 0; i < kHeadDim; ++i) {
        EXPECT_NEAR(qkv[row * 3 * width + h * kHeadDim + i], expected(row, 0, h, i), 3e-6);
        EXPECT_NEAR(key_rings[session][(h * kHeadDim + i) * kCapacity + place],
                    expected(row, 1, h, i), 3e-6);
        EXPECT_EQ(value_rings[session][(h * kCapacity + place) * kHeadDim + i],
                  before[(row * 3 + 2) * width + h * kHeadDim + i]);
      }
    }
  }
  EXPECT_EQ(keys[0], 5.0f);  // places of other frames stay as they were
  EXPECT_EQ(std::count(keys.begin(), keys.end(), 5.0f),
            static_cast<int64_t>(keys.size()) - rows * width);
}

INSTANTIATE_TEST_SUITE_P(Isas, TokensTest, AllIsas(), NameOfIsa);

}  // namespace
}  // namespace firstbyte::kernels

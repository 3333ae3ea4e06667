// A language model whose sessions go on by themselves, against the same done plainly.
#include "model/cuda/gpu_lm.h"

#include <algorithm>
#include <map>
#include <set>

#include "gtest/gtest.h"
#include "tests/model/cuda/plain_llama.h"
#include "tests/model/cuda/test_device.h"

namespace firstbyte::cuda {
namespace {

using Said = std::vector<int32_t>;

constexpr int kVocabulary = 40, kBatch = 3, kSlots = 5;
constexpr LmShape kShape = {.llama = {.layers = 2,
                                      .width = 16,
                                      .mlp = 24,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .head_dim = 8,
                                      .rope_base = 10000,
                                      .epsilon = 1e-5f,
                                      .slots = kSlots,
                                      .capacity = 6,
                                      .most_rows = kBatch,
                                      .splits = 2},
                            .vocabulary = kVocabulary};

struct Model {
  Model()
      : lm{RandomMatrix<float>(&random, kVocabulary, kShape.llama.width),
           {},
           RandomMatrix<float>(&random, kVocabulary, kShape.llama.width)},
        stack(RandomWeights<float>(kShape.llama, &random)) {
    lm.gain = stack.gain;
  }

  // What a session that always takes the likeliest token says.
  Said Plain(const SpeakerRow& row, int32_t end, bool tied) const {
    PlainLlama session(&kShape.llama, &stack);
    Said said;
    for (int32_t token = row.token; session.position() < row.limit && token != end;) {
      const std::vector<float>& table = tied ? lm.head : lm.embedding;
      const auto from = table.begin() + int64_t{token} * kShape.llama.width;
      Doubles logits = Times(lm.head, session.Next(Doubles(from, from + kShape.llama.width)));
      for (int32_t before : std::set<int32_t>(said.begin(), said.end())) {
        logits[before] *= logits[before] > 0 ? 1 / row.penalty : row.penalty;
      }
      token = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
      said.push_back(token);
    }
    return said;
  }

  RandomCase random{4};
  LmWeights lm;
  PlainWeights stack;
};

SpeakerRow Likeliest(int32_t token, int64_t limit) {
  return {.begins = 1, .token = token, .limit = limit, .top_p = 1, .penalty = 1.5f};
}
SpeakerRow Drawn(int32_t token, uint64_t seed) {
  return {.begins = 1,
          .token = token,
          .limit = 12,
          .seed = seed,
          .temperature = 1.5f,
          .top_p = 0.9f,
          .penalty = 1.2f,
          .top_k = 20};
}

class GpuLmTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::string why;
    std::optional<TestDevice> test = OpenTestDevice(GetParam(), &why);
    if (!test) GTEST_SKIP() << why;
    gpu_ = std::make_unique<Gpu>(*test->plugin, std::move(test->device));
  }

  std::unique_ptr<GpuLm<float>> Open(const LmShape& shape) {
    const auto load = [this](int i) { return model_.stack.blocks[i]; };
    auto lm = GpuLm<float>::Create(gpu_.get(), shape, model_.lm, load);
    EXPECT_TRUE(lm.ok()) << lm.status();
    return lm.ok() ? *std::move(lm) : nullptr;
  }

  // Sessions by slot go on until all are silent; each begins when it first joins a step. A step is
  // given before the one before it is read.
  template <typename T>
  static std::map<int32_t, Said> Talk(GpuLm<T>* lm, std::map<int32_t, SpeakerRow> sessions,
                                      int batch, int steps) {
    RandomCase random(9);
    std::map<int32_t, Said> said;
    std::vector<int32_t> before;
    Ticket ticket = 0;
    const auto read = [&] {
      const absl::StatusOr<const int32_t*> drawn = lm->Wait(ticket);
      ASSERT_TRUE(drawn.ok()) << drawn.status();
      for (size_t i = 0; i < before.size(); ++i) {
        if ((*drawn)[i] >= 0) said[before[i]].push_back((*drawn)[i]);
      }
    };
    for (int step = 0; step < steps; ++step) {
      std::vector<int32_t> slots;
      for (int32_t slot : random.Slots(batch, kSlots)) {
        if (slot >= 0 && sessions.contains(slot)) slots.push_back(slot);
      }
      if (slots.empty()) continue;
      std::vector<SpeakerRow> given;
      for (int32_t slot : slots) given.push_back(std::exchange(sessions[slot], SpeakerRow{}));
      const absl::StatusOr<Ticket> next = lm->Submit(slots, given);
      EXPECT_TRUE(next.ok()) << next.status();
      if (!next.ok()) break;
      if (ticket > 0) read();
      before = slots;
      ticket = *next;
    }
    read();
    return said;
  }

  std::map<int32_t, SpeakerRow> FourSessions() {
    return {{0, Drawn(3, 5)}, {1, Drawn(3, 6)}, {3, Drawn(3, 5)}, {4, Drawn(20, 1ull << 40)}};
  }

  const Model model_;
  std::unique_ptr<Gpu> gpu_;
};

TEST_P(GpuLmTest, SaysWhatThePlainOneDoesUntilItStops) {
  const std::map<int32_t, SpeakerRow> sessions = {
      {0, Likeliest(3, 14)}, {1, Likeliest(17, 11)}, {2, Likeliest(30, 1)}, {4, Likeliest(9, 14)}};
  LmShape shape = kShape;
  shape.end = model_.Plain(sessions.at(0), -1, false)[8];
  for (bool tied : {false, true}) {
    shape.tied = tied;
    const auto lm = Open(shape);
    ASSERT_NE(lm, nullptr);
    const std::map<int32_t, Said> said = Talk(lm.get(), sessions, kBatch, 60);
    for (const auto& [slot, row] : sessions) {
      EXPECT_EQ(said.at(slot), model_.Plain(row, shape.end, tied)) << "slot " << slot;
    }
    EXPECT_EQ(said.at(2).size(), 1) << "its limit";
    if (!tied) {
      EXPECT_LT(said.at(0).size(), 14) << "it drew the end";
    }
  }
}

TEST_P(GpuLmTest, ASessionDrawsTheSameAloneAndWithoutGraphs) {
  const auto lm = Open(kShape);
  const std::map<int32_t, Said> together = Talk(lm.get(), FourSessions(), kBatch, 60);
  EXPECT_EQ(together.at(0), together.at(3)) << "of the same seed";
  EXPECT_NE(together.at(0), together.at(1));
  LmShape eager = kShape;
  eager.mode = GraphMode::kEager;
  const auto others = Open(eager);
  EXPECT_EQ(Talk(others.get(), FourSessions(), /*batch=*/1, 200), together);
  EXPECT_EQ(Talk(lm.get(), FourSessions(), kBatch, 60), together) << "again in the same slots";
}

TEST_P(GpuLmTest, WeightsThatNobodyTrainedAreThoseOfTheirSeed) {
  LmShape shape = kShape;
  shape.end = 7;
  std::vector<std::map<int32_t, Said>> said;
  for (uint64_t seed : {1, 1, 2}) {
    const auto lm = GpuLm<Bf16>::Random(gpu_.get(), shape, seed);
    ASSERT_TRUE(lm.ok()) << lm.status();
    said.push_back(Talk(lm->get(), FourSessions(), kBatch, 30));
  }
  EXPECT_EQ(said[0], said[1]);
  EXPECT_NE(said[0], said[2]);
}

TEST_P(GpuLmTest, ShapesThatItCannotTakeAreRefused) {
  LmShape shape = kShape;
  shape.vocabulary = 44;
  EXPECT_EQ(GpuLm<float>::Random(gpu_.get(), shape, 1).status().code(),
            absl::StatusCode::kUnimplemented);
  shape = kShape;
  shape.llama.capacity = 1 << 28;
  EXPECT_EQ(GpuLm<float>::Random(gpu_.get(), shape, 1).status().code(),
            absl::StatusCode::kResourceExhausted);
  const auto lm = Open(kShape);
  EXPECT_FALSE(lm->Submit({0, 1, 2, 3}, std::vector<SpeakerRow>(4)).ok());
  EXPECT_FALSE(lm->Submit({}, {}).ok());
}

INSTANTIATE_TEST_SUITE_P(On, GpuLmTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda

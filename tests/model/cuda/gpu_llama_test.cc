// The stack of blocks behind a product and before one, in a stage, against the same done plainly.
#include "model/cuda/gpu_llama.h"

#include "gtest/gtest.h"
#include "model/cuda/gpu_stage.h"
#include "tests/model/cuda/plain_llama.h"
#include "tests/model/cuda/test_device.h"

namespace firstbyte::cuda {
namespace {

constexpr int kInputs = 16, kOutputs = 8, kBatch = 3;
constexpr LlamaShape kShape = {.layers = 2,
                               .width = 24,
                               .mlp = 40,
                               .heads = 6,
                               .kv_heads = 2,
                               .head_dim = 8,
                               .rope_base = 10000,
                               .epsilon = 1e-5f,
                               .slots = 4,
                               .capacity = 5,  // so rings go round
                               .most_rows = kBatch,
                               .splits = 2};

// Weights that a model of T has as they are.
template <typename T>
struct Weights {
  Weights()
      : embed(RandomMatrix<T>(&random, kShape.width, kInputs)),
        head(RandomMatrix<T>(&random, kOutputs, kShape.width)),
        stack(RandomWeights<T>(kShape, &random)) {}

  RandomCase random{1};
  std::vector<float> embed, head;
  PlainWeights stack;
};

// A model around the stack: a product makes x of numbers, another reads what comes out.
template <typename T>
class Framed {
 public:
  Framed(TestDevice test, const LlamaShape& shape)
      : gpu_(*test.plugin, std::move(test.device)),
        shape_(shape),
        positions_(int64_t{sizeof(T)} * kBatch * shape.tokens * kInputs),
        places_(positions_ + int64_t{8} * shape.slots),
        lengths_(places_ + int64_t{4} * shape.slots) {}

  absl::Status Open(const Weights<T>& weights, GraphMode mode) {
    const int rows = kBatch * shape_.tokens;
    const GpuLinear::Shape embed = {.n = kShape.width,
                                    .k = kInputs,
                                    .number = GpuLlama<T>::NumberFor(shape_),
                                    .wide = true,
                                    .most_rows = rows};
    GpuLinear::Shape head = embed;
    head.n = kOutputs;
    head.k = kShape.width;
    absl::Status status = Take(GpuLinear::Create(&gpu_, embed, weights.embed, {}), &embed_);
    status.Update(Take(GpuLinear::Create(&gpu_, head, weights.head, {}), &head_));
    const auto load = [&](int i) { return weights.stack.blocks[i]; };
    status.Update(Take(GpuLlama<T>::Create(&gpu_, shape_, load, weights.stack.gain), &llama_));
    if (!status.ok()) return status;
    return Take(GpuStage::Create(&gpu_,
                                 {.mode = mode,
                                  .max_batch = kBatch,
                                  .input_bytes = lengths_ + 4 * shape_.slots,
                                  .result_bytes = 4 * rows * kOutputs},
                                 [this](const GpuStage::Step& step) { return Body(step); }),
                &stage_);
  }

  // Tokens of each of `slots`, the first at positions by slot -> [slots.size() * tokens, kOutputs].
  std::vector<float> Run(const std::vector<int32_t>& slots, const std::vector<T>& rows,
                         const std::vector<int64_t>& positions) {
    absl::StatusOr<char*> inputs = stage_->Inputs();
    if (!inputs.ok()) return {};
    std::copy(rows.begin(), rows.end(), ArrayAt<T>(*inputs, 0));
    for (int slot = 0; slot < shape_.slots; ++slot) {
      const int64_t position = positions[slot], end = position + shape_.tokens;
      ArrayAt<int64_t>(*inputs, positions_)[slot] = position;
      ArrayAt<int32_t>(*inputs, places_)[slot] = static_cast<int>(position % shape_.capacity);
      ArrayAt<int32_t>(*inputs, lengths_)[slot] =
          static_cast<int>(std::min<int64_t>(end, shape_.capacity));
    }
    const absl::StatusOr<Ticket> ticket = stage_->Submit(slots);
    if (!ticket.ok()) return {};
    const absl::StatusOr<const char*> results = stage_->Wait(*ticket);
    if (!results.ok()) return {};
    const auto* out = ArrayAt<float>(*results, 0);
    return {out, out + slots.size() * shape_.tokens * kOutputs};
  }

 private:
  absl::Status Body(const GpuStage::Step& step) const {
    const int rows = step.rows * shape_.tokens;
    absl::Status status = embed_.Forward(Queue::kSteps, step.inputs, rows, llama_->x());
    status.Update(llama_->Forward(
        Queue::kSteps,
        {step.rows, step.slots, ArrayAt<int64_t>(step.inputs, positions_),
         ArrayAt<int32_t>(step.inputs, places_), ArrayAt<int32_t>(step.inputs, lengths_)}));
    status.Update(head_.Forward(Queue::kSteps, llama_->normed(), rows, step.results));
    return status;
  }

  Gpu gpu_;
  const LlamaShape shape_;
  const int64_t positions_, places_, lengths_;  // in a step's inputs, in bytes
  GpuLinear embed_, head_;
  std::unique_ptr<GpuLlama<T>> llama_;
  std::unique_ptr<GpuStage> stage_;  // goes first
};

class GpuLlamaTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::string why;
    if (!OpenTestDevice(GetParam(), &why)) GTEST_SKIP() << why;
  }
  template <typename T>
  std::unique_ptr<Framed<T>> New(const LlamaShape& shape = kShape) {
    std::string why;
    return std::make_unique<Framed<T>>(*OpenTestDevice(GetParam(), &why), shape);
  }

  // What sessions say in steps that different ones join, and what they would plainly.
  struct Talk {
    std::vector<float> said;
    Doubles plain;
  };
  template <typename T>
  static Talk Play(Framed<T>* model, const Weights<T>& weights, const LlamaShape& shape, int steps,
                   bool batched) {
    RandomCase random(2);
    std::vector<PlainLlama> sessions(shape.slots, PlainLlama(&shape, &weights.stack));
    Talk talk;
    const int inputs = shape.tokens * kInputs;
    for (int step = 0; step < steps; ++step) {
      std::vector<int32_t> slots = random.Slots(kBatch, shape.slots);
      std::erase(slots, -1);
      if (slots.empty()) continue;
      const std::vector<T> rows = random.Normals<T>(slots.size() * inputs);
      std::vector<int64_t> positions;
      for (const PlainLlama& session : sessions) positions.push_back(session.position());
      const size_t size = batched ? slots.size() : 1;
      for (size_t i = 0; i < slots.size(); i += size) {
        const auto now =
            model->Run({slots.begin() + i, slots.begin() + i + size},
                       {rows.begin() + i * inputs, rows.begin() + (i + size) * inputs}, positions);
        talk.said.insert(talk.said.end(), now.begin(), now.end());
      }
      for (size_t i = 0; i < slots.size() * shape.tokens; ++i) {
        Doubles input;
        for (int k = 0; k < kInputs; ++k) input.push_back(ToFloat(rows[i * kInputs + k]));
        PlainLlama& session = sessions[slots[i / shape.tokens]];
        const Doubles plain = Times(weights.head, session.Next(Times(weights.embed, input)));
        talk.plain.insert(talk.plain.end(), plain.begin(), plain.end());
      }
    }
    return talk;
  }

  template <typename T>
  void SaysWhatThePlainOneDoes(const LlamaShape& shape, double tolerance, int steps = 14) {
    const Weights<T> weights;
    const auto model = New<T>(shape);
    ASSERT_TRUE(model->Open(weights, GraphMode::kGraphs).ok());
    const Talk talk = Play(model.get(), weights, shape, steps, /*batched=*/true);
    ASSERT_EQ(talk.said.size(), talk.plain.size());
    for (size_t i = 0; i < talk.said.size(); ++i) {
      ASSERT_NEAR(talk.said[i], talk.plain[i], tolerance) << "at " << i;
    }
  }

  template <typename T>
  void SaysTheSame(GraphMode mode, bool batched) {
    const Weights<T> weights;
    const auto model = New<T>(), other = New<T>();
    ASSERT_TRUE(model->Open(weights, GraphMode::kGraphs).ok());
    ASSERT_TRUE(other->Open(weights, mode).ok());
    const Talk talk = Play(model.get(), weights, kShape, 14, /*batched=*/true);
    ASSERT_FALSE(talk.said.empty());
    EXPECT_EQ(Play(other.get(), weights, kShape, 14, batched).said, talk.said);
  }
};

TEST_P(GpuLlamaTest, SaysWhatThePlainOneDoes) { SaysWhatThePlainOneDoes<float>(kShape, 1e-5); }

TEST_P(GpuLlamaTest, AlsoWithFewerDigits) {
  LlamaShape less_precise = kShape;
  less_precise.less_precise = true;
  SaysWhatThePlainOneDoes<float>(less_precise, 5e-3);
  SaysWhatThePlainOneDoes<F16>(kShape, 5e-3);
  SaysWhatThePlainOneDoes<Bf16>(kShape, 4e-2);
}

TEST_P(GpuLlamaTest, TokensOfOneStepDoNotSeeThoseBehindThem) {
  LlamaShape shape = kShape;
  shape.tokens = 5;
  shape.capacity = 30;
  SaysWhatThePlainOneDoes<float>(shape, 1e-5, /*steps=*/6);
}

TEST_P(GpuLlamaTest, ASessionSaysTheSameAloneAndWithoutGraphs) {
  SaysTheSame<float>(GraphMode::kGraphs, /*batched=*/false);
  SaysTheSame<Bf16>(GraphMode::kGraphs, /*batched=*/false);
  SaysTheSame<float>(GraphMode::kEager, /*batched=*/true);
  SaysTheSame<Bf16>(GraphMode::kEager, /*batched=*/true);
}

TEST_P(GpuLlamaTest, SizesThatItCannotTakeAreRefused) {
  const Weights<float> weights;
  LlamaShape shape = kShape;
  shape.mlp = 44;
  EXPECT_EQ(New<float>(shape)->Open(weights, GraphMode::kGraphs).code(),
            absl::StatusCode::kUnimplemented);
  shape = kShape;
  shape.slots = 1 << 30;
  EXPECT_EQ(New<float>(shape)->Open(weights, GraphMode::kGraphs).code(),
            absl::StatusCode::kResourceExhausted);
}

INSTANTIATE_TEST_SUITE_P(On, GpuLlamaTest, testing::ValuesIn(ExecutorNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace firstbyte::cuda

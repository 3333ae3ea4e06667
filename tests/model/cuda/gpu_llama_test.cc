// The stack of blocks behind a product and before one, in a stage, against the same done plainly.
#include "model/cuda/gpu_llama.h"

#include <cmath>
#include <deque>
#include <optional>

#include "gtest/gtest.h"
#include "model/cuda/gpu_stage.h"
#include "tests/model/cuda/random_case.h"
#include "tests/model/cuda/test_device.h"

namespace firstbyte::cuda {
namespace {

using Doubles = std::vector<double>;

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

// Weights as a model of T has them, in float.
template <typename T>
struct Weights {
  explicit Weights(uint64_t seed) {
    RandomCase random(seed);
    const int qkv = (kShape.heads + 2 * kShape.kv_heads) * kShape.head_dim;
    const int inner = kShape.heads * kShape.head_dim;
    embed = Rounded(&random, kShape.width, kInputs);
    for (int i = 0; i < kShape.layers; ++i) {
      blocks.push_back({.attention_gain = Gain(&random),
                        .qkv = Rounded(&random, qkv, kShape.width),
                        .out = Rounded(&random, kShape.width, inner),
                        .mlp_gain = Gain(&random),
                        .gate_up = Rounded(&random, 2 * kShape.mlp, kShape.width),
                        .down = Rounded(&random, kShape.width, kShape.mlp)});
    }
    gain = Gain(&random);
    head = Rounded(&random, kOutputs, kShape.width);
  }

  static std::vector<float> Rounded(RandomCase* random, int n, int k) {
    std::vector<float> weight(int64_t{n} * k);
    for (float& w : weight) w = ToFloat(Of<T>(random->Normal() / std::sqrt(static_cast<float>(k))));
    return weight;
  }
  static std::vector<float> Gain(RandomCase* random) {
    std::vector<float> gain(kShape.width);
    for (float& g : gain) g = 1 + random->Normal() / 4;
    return gain;
  }

  std::vector<float> embed, gain, head;
  std::vector<LlamaBlockWeights> blocks;
};

// A session done plainly, in double.
template <typename T>
class PlainSession {
 public:
  explicit PlainSession(const Weights<T>& weights) : w_(weights), caches_(kShape.layers) {}

  Doubles Next(const std::vector<T>& input) {
    Doubles given;
    for (T v : input) given.push_back(ToFloat(v));
    Doubles x = Times(w_.embed, given);
    for (int i = 0; i < kShape.layers; ++i) {
      const LlamaBlockWeights& b = w_.blocks[i];
      Add(Times(b.out, Attend(Times(b.qkv, Norm(x, b.attention_gain)), &caches_[i])), &x);
      const Doubles gate_up = Times(b.gate_up, Norm(x, b.mlp_gain));
      Doubles mlp(kShape.mlp);
      for (int m = 0; m < kShape.mlp; ++m) {
        mlp[m] = gate_up[m] / (1 + std::exp(-gate_up[m])) * gate_up[kShape.mlp + m];
      }
      Add(Times(b.down, mlp), &x);
    }
    ++position_;
    return Times(w_.head, Norm(x, w_.gain));
  }
  int64_t position() const { return position_; }

 private:
  struct Token {
    Doubles keys, values;
  };
  static constexpr int kDim = kShape.head_dim, kHalf = kDim / 2;

  static Doubles Times(const std::vector<float>& weight, const Doubles& x) {
    Doubles y(weight.size() / x.size());
    for (size_t i = 0; i < weight.size(); ++i) y[i / x.size()] += weight[i] * x[i % x.size()];
    return y;
  }
  static void Add(const Doubles& branch, Doubles* x) {
    for (size_t i = 0; i < x->size(); ++i) (*x)[i] += branch[i];
  }
  static Doubles Norm(Doubles x, const std::vector<float>& gain) {
    double squares = 0;
    for (double v : x) squares += v * v;
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] *= gain[i] / std::sqrt(squares / static_cast<double>(x.size()) + kShape.epsilon);
    }
    return x;
  }
  void Turn(double* head) const {
    for (int i = 0; i < kHalf; ++i) {
      const double angle =
          static_cast<double>(position_) * std::pow(kShape.rope_base, -2.0 * i / kDim);
      const double a = head[i], b = head[kHalf + i];
      head[i] = a * std::cos(angle) - b * std::sin(angle);
      head[kHalf + i] = b * std::cos(angle) + a * std::sin(angle);
    }
  }
  Doubles Attend(Doubles qkv, std::deque<Token>* cache) const {
    const int queries = kShape.heads * kDim, keys = kShape.kv_heads * kDim;
    for (int at = 0; at < queries + keys; at += kDim) Turn(&qkv[at]);
    const auto keys_begin = qkv.begin() + queries, values_begin = keys_begin + keys;
    cache->push_back({{keys_begin, values_begin}, {values_begin, qkv.end()}});
    if (cache->size() > size_t{kShape.capacity}) cache->pop_front();
    Doubles out(queries);
    for (int head = 0; head < kShape.heads; ++head) {
      const int from = head / (kShape.heads / kShape.kv_heads) * kDim;
      double total = 0;
      for (const Token& token : *cache) {
        double score = 0;
        for (int d = 0; d < kDim; ++d) score += qkv[head * kDim + d] * token.keys[from + d];
        const double weight = std::exp(score / std::sqrt(kDim));
        total += weight;
        for (int d = 0; d < kDim; ++d) out[head * kDim + d] += weight * token.values[from + d];
      }
      for (int d = 0; d < kDim; ++d) out[head * kDim + d] /= total;
    }
    return out;
  }

  const Weights<T>& w_;
  std::vector<std::deque<Token>> caches_;
  int64_t position_ = 0;
};

// A model around the stack: a product makes x of numbers, another reads what comes out.
template <typename T>
class Lm {
 public:
  // Inputs of a step, in bytes.
  static constexpr int64_t kPositions = sizeof(T) * kBatch * kInputs;
  static constexpr int64_t kPlaces = kPositions + 8 * kShape.slots;
  static constexpr int64_t kLengths = kPlaces + 4 * kShape.slots;
  static constexpr int64_t kBytes = kLengths + 4 * kShape.slots;

  Lm(TestDevice test, const LlamaShape& shape)
      : gpu_(*test.plugin, std::move(test.device)), shape_(shape) {}

  absl::Status Open(const Weights<T>& weights, GraphMode mode) {
    const GpuLinear::Shape embed = {.n = kShape.width,
                                    .k = kInputs,
                                    .number = GpuLlama<T>::NumberFor(shape_),
                                    .wide = true,
                                    .most_rows = kBatch};
    GpuLinear::Shape head = embed;
    head.n = kOutputs;
    head.k = kShape.width;
    absl::Status status = Take(GpuLinear::Create(&gpu_, embed, weights.embed, {}), &embed_);
    status.Update(Take(GpuLinear::Create(&gpu_, head, weights.head, {}), &head_));
    const auto load = [&](int i) { return weights.blocks[i]; };
    status.Update(Take(GpuLlama<T>::Create(&gpu_, shape_, load, weights.gain), &llama_));
    if (!status.ok()) return status;
    return Take(GpuStage::Create(&gpu_,
                                 {.mode = mode,
                                  .max_batch = kBatch,
                                  .input_bytes = kBytes,
                                  .result_bytes = 4 * kBatch * kOutputs},
                                 [this](const GpuStage::Step& step) { return Body(step); }),
                &stage_);
  }

  // One token for each of `slots`, at positions by slot: [slots.size(), kOutputs].
  std::vector<float> Run(const std::vector<int32_t>& slots, const std::vector<T>& rows,
                         const std::vector<int64_t>& positions) {
    absl::StatusOr<char*> inputs = stage_->Inputs();
    if (!inputs.ok()) return {};
    std::copy(rows.begin(), rows.end(), ArrayAt<T>(*inputs, 0));
    for (int slot = 0; slot < kShape.slots; ++slot) {
      const int64_t position = positions[slot];
      ArrayAt<int64_t>(*inputs, kPositions)[slot] = position;
      ArrayAt<int32_t>(*inputs, kPlaces)[slot] = static_cast<int>(position % kShape.capacity);
      ArrayAt<int32_t>(*inputs, kLengths)[slot] =
          static_cast<int>(std::min<int64_t>(position + 1, kShape.capacity));
    }
    const absl::StatusOr<Ticket> ticket = stage_->Submit(slots);
    if (!ticket.ok()) return {};
    const absl::StatusOr<const char*> results = stage_->Wait(*ticket);
    if (!results.ok()) return {};
    const auto* out = ArrayAt<float>(*results, 0);
    return {out, out + slots.size() * kOutputs};
  }

 private:
  absl::Status Body(const GpuStage::Step& step) const {
    absl::Status status = embed_.Forward(Queue::kSteps, step.inputs, step.rows, llama_->x());
    status.Update(llama_->Forward(
        Queue::kSteps,
        {step.rows, step.slots, ArrayAt<int64_t>(step.inputs, kPositions),
         ArrayAt<int32_t>(step.inputs, kPlaces), ArrayAt<int32_t>(step.inputs, kLengths)}));
    status.Update(head_.Forward(Queue::kSteps, llama_->normed(), step.rows, step.results));
    return status;
  }

  Gpu gpu_;
  const LlamaShape shape_;
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
  std::unique_ptr<Lm<T>> New(const LlamaShape& shape = kShape) {
    std::string why;
    return std::make_unique<Lm<T>>(*OpenTestDevice(GetParam(), &why), shape);
  }

  // What sessions say in steps that different ones join, and what they would plainly.
  template <typename T>
  struct Talk {
    std::vector<float> said;
    Doubles plain;
  };
  template <typename T>
  static Talk<T> Play(Lm<T>* model, const Weights<T>& weights, bool batched) {
    RandomCase random(2);
    std::vector<PlainSession<T>> sessions(kShape.slots, PlainSession<T>(weights));
    Talk<T> talk;
    for (int step = 0; step < 14; ++step) {
      std::vector<int32_t> slots = random.Slots(kBatch, kShape.slots);
      std::erase(slots, -1);
      if (slots.empty()) continue;
      const std::vector<T> rows = random.Normals<T>(slots.size() * kInputs);
      std::vector<int64_t> positions;
      for (const PlainSession<T>& session : sessions) positions.push_back(session.position());
      const size_t size = batched ? slots.size() : 1;
      for (size_t i = 0; i < slots.size(); i += size) {
        const auto now = model->Run(
            {slots.begin() + i, slots.begin() + i + size},
            {rows.begin() + i * kInputs, rows.begin() + (i + size) * kInputs}, positions);
        talk.said.insert(talk.said.end(), now.begin(), now.end());
      }
      for (size_t i = 0; i < slots.size(); ++i) {
        const Doubles plain =
            sessions[slots[i]].Next({rows.begin() + i * kInputs, rows.begin() + (i + 1) * kInputs});
        talk.plain.insert(talk.plain.end(), plain.begin(), plain.end());
      }
    }
    return talk;
  }

  template <typename T>
  void SaysWhatThePlainOneDoes(const LlamaShape& shape, double tolerance) {
    const Weights<T> weights(1);
    const auto model = New<T>(shape);
    ASSERT_TRUE(model->Open(weights, GraphMode::kGraphs).ok());
    const Talk<T> talk = Play(model.get(), weights, /*batched=*/true);
    ASSERT_EQ(talk.said.size(), talk.plain.size());
    for (size_t i = 0; i < talk.said.size(); ++i) {
      ASSERT_NEAR(talk.said[i], talk.plain[i], tolerance) << "at " << i;
    }
  }

  template <typename T>
  void SaysTheSame(GraphMode mode, bool batched) {
    const Weights<T> weights(1);
    const auto model = New<T>(), other = New<T>();
    ASSERT_TRUE(model->Open(weights, GraphMode::kGraphs).ok());
    ASSERT_TRUE(other->Open(weights, mode).ok());
    const Talk<T> talk = Play(model.get(), weights, /*batched=*/true);
    ASSERT_FALSE(talk.said.empty());
    EXPECT_EQ(Play(other.get(), weights, batched).said, talk.said);
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

TEST_P(GpuLlamaTest, ASessionSaysTheSameAloneAndWithoutGraphs) {
  SaysTheSame<float>(GraphMode::kGraphs, /*batched=*/false);
  SaysTheSame<Bf16>(GraphMode::kGraphs, /*batched=*/false);
  SaysTheSame<float>(GraphMode::kEager, /*batched=*/true);
  SaysTheSame<Bf16>(GraphMode::kEager, /*batched=*/true);
}

TEST_P(GpuLlamaTest, SizesThatItCannotTakeAreRefused) {
  const Weights<float> weights(1);
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

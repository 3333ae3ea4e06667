#include "bench/shapes.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <utility>

namespace firstbyte::shapes {
namespace {

using cuda::ArrayAt;
using cuda::DeviceArray;
using cuda::GpuLinear;
using cuda::GpuLlama;
using cuda::GpuLm;
using cuda::GpuStage;
using cuda::Queue;
using cuda::SpeakerRow;
using cuda::Take;

constexpr uint64_t kSeed = 1;
constexpr float kEpsilon = 1e-5f;

Shape Cs336(const char* size, int width, int mlp, int layers, int heads) {
  return {.name = std::string("cs336-") + size,
          .about = "forward, batch 4, context 256",
          .llama = {.layers = layers,
                    .width = width,
                    .mlp = mlp,
                    .heads = heads,
                    .kv_heads = heads,
                    .head_dim = width / heads,
                    .rope_base = 10000,
                    .epsilon = kEpsilon,
                    .slots = 4,
                    .capacity = 256,
                    .most_rows = 4,
                    .tokens = 256},
          .vocabulary = 10000};
}

// Step after step, at most `under_way` of them given and not yet waited for; the seconds from one
// result to the next.
absl::Status Time(const Run& run, int under_way,
                  const std::function<absl::StatusOr<Ticket>()>& give,
                  const std::function<absl::Status(Ticket)>& wait, std::vector<double>* seconds) {
  using Clock = std::chrono::steady_clock;
  std::vector<Ticket> tickets;
  Clock::time_point before = Clock::now();
  const int all = run.warmup + run.steps;
  for (int given = 0, done = 0; done < all; ++done) {
    for (; given < std::min(all, done + under_way); ++given) {
      absl::StatusOr<Ticket> ticket = give();
      if (!ticket.ok()) return ticket.status();
      tickets.push_back(*ticket);
    }
    absl::Status status = wait(tickets[done]);
    if (!status.ok()) return status;
    const Clock::time_point now = Clock::now();
    if (done >= run.warmup) seconds->push_back(std::chrono::duration<double>(now - before).count());
    before = now;
  }
  return absl::OkStatus();
}

// Sessions that are spread evenly over the context, and draw as speech models do.
std::vector<SpeakerRow> Sessions(const cuda::LlamaShape& l) {
  std::vector<SpeakerRow> rows(l.most_rows);
  for (int i = 0; i < l.most_rows; ++i) {
    rows[i] = {.begins = 1,
               .token = i,
               .position = int64_t{l.capacity} * i / l.most_rows,
               .limit = std::numeric_limits<int64_t>::max(),
               .seed = kSeed + i,
               .temperature = 0.8f,
               .top_p = 0.95f,
               .penalty = 1.1f,
               .top_k = 50};
  }
  return rows;
}

template <typename T>
absl::Status Decode(cuda::Gpu* gpu, const Shape& shape, const Run& run, Result* result) {
  const cuda::LmShape lm_shape = {
      .llama = shape.llama, .vocabulary = shape.vocabulary, .tied = shape.tied, .mode = run.mode};
  auto lm = GpuLm<T>::Random(gpu, lm_shape, kSeed);
  if (!lm.ok()) return lm.status();
  std::vector<int32_t> slots(shape.llama.most_rows);
  for (size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<int32_t>(i);
  std::vector<SpeakerRow> given = Sessions(shape.llama);
  const auto give = [&] {
    absl::StatusOr<Ticket> ticket = (*lm)->Submit(slots, given);
    for (SpeakerRow& row : given) row.begins = 0;
    return ticket;
  };
  const auto wait = [&](Ticket ticket) { return (*lm)->Wait(ticket).status(); };
  return Time(run, /*under_way=*/2, give, wait, &result->seconds);
}

// From tokens to logits, which stay on the device.
template <typename T>
class Forward {
 public:
  Forward(cuda::Gpu* gpu, const Shape& shape) : gpu_(gpu), shape_(shape) {}

  absl::Status Open(const Run& run) {
    const cuda::LlamaShape& l = shape_.llama;
    const int64_t rows = int64_t{l.most_rows} * l.tokens;
    const GpuLinear::Shape head = {.n = shape_.vocabulary,
                                   .k = l.width,
                                   .number = GpuLlama<T>::NumberFor(l),
                                   .wide = true,
                                   .most_rows = static_cast<int>(rows)};
    const auto blank = [](int) { return cuda::LlamaBlockWeights{}; };
    absl::Status status = Take(GpuLlama<T>::Create(gpu_, l, blank, {}), &llama_);
    status.Update(Take(GpuLinear::Blank(gpu_, head), &head_));
    status.Update(Take(gpu_->NewArray<T>(int64_t{shape_.vocabulary} * l.width), &embedding_));
    status.Update(Take(gpu_->NewArray<float>(rows * shape_.vocabulary), &logits_));
    status.Update(Take(gpu_->NewArray<int64_t>(l.slots), &positions_));
    status.Update(Take(gpu_->NewArray<int32_t>(l.slots), &places_));
    const std::vector<int32_t> lengths(l.slots, l.tokens);
    if (status.ok()) status = Take(cuda::Upload<int32_t>(gpu_, lengths), &lengths_);
    if (status.ok()) status = Randomise();
    if (!status.ok()) return status;
    return Take(GpuStage::Create(gpu_,
                                 {.mode = run.mode,
                                  .max_batch = l.most_rows,
                                  .input_bytes = 4 * rows,
                                  .result_bytes = 16},
                                 [this](const GpuStage::Step& step) { return Body(step); }),
                &stage_);
  }

  absl::StatusOr<Ticket> Give() {
    const cuda::LlamaShape& l = shape_.llama;
    absl::StatusOr<char*> inputs = stage_->Inputs();
    if (!inputs.ok()) return inputs.status();
    auto* ids = ArrayAt<int32_t>(*inputs, 0);
    for (int i = 0; i < l.most_rows * l.tokens; ++i) ids[i] = i % shape_.vocabulary;
    std::vector<int32_t> slots(l.most_rows);
    for (size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<int32_t>(i);
    return stage_->Submit(slots);
  }
  absl::Status Wait(Ticket ticket) { return stage_->Wait(ticket).status(); }

 private:
  absl::Status Randomise() {
    const cuda::NoiseStep<T> noise = {embedding_.get(),
                                      int64_t{shape_.vocabulary} * shape_.llama.width, kSeed, 1};
    absl::Status status =
        gpu_->Call(cuda::KernelsOf<T>(gpu_->plugin()).noise, Queue::kSteps, &noise);
    status.Update(head_.Randomise(Queue::kSteps, kSeed + 1));
    status.Update(llama_->Randomise(kSeed + 2));
    return status;
  }
  absl::Status Body(const GpuStage::Step& step) const {
    const int tokens = shape_.llama.tokens;
    const cuda::EmbedStep<T> embed = {embedding_.get(),  ArrayAt<int32_t>(step.inputs, 0),
                                      step.slots,        llama_->x(),
                                      step.rows,         tokens,
                                      shape_.llama.width};
    absl::Status status =
        gpu_->Call(cuda::KernelsOf<T>(gpu_->plugin()).embed, Queue::kSteps, &embed);
    status.Update(llama_->Forward(
        Queue::kSteps, {step.rows, step.slots, positions_.get(), places_.get(), lengths_.get()}));
    status.Update(
        head_.Forward(Queue::kSteps, llama_->normed(), step.rows * tokens, logits_.get()));
    return status;
  }

  cuda::Gpu* const gpu_;
  const Shape& shape_;
  std::unique_ptr<GpuLlama<T>> llama_;
  GpuLinear head_;
  DeviceArray<T> embedding_;
  DeviceArray<float> logits_;
  DeviceArray<int64_t> positions_;
  DeviceArray<int32_t> places_, lengths_;
  std::unique_ptr<GpuStage> stage_;  // goes first
};

template <typename T>
absl::Status GoForward(cuda::Gpu* gpu, const Shape& shape, const Run& run, Result* result) {
  Forward<T> forward(gpu, shape);
  absl::Status status = forward.Open(run);
  if (!status.ok()) return status;
  return Time(
      run, /*under_way=*/1, [&] { return forward.Give(); },
      [&](Ticket ticket) { return forward.Wait(ticket); }, &result->seconds);
}

// Keys that the queries of a step see, in the mean of the measured ones.
double KeysSeen(const Shape& shape, const Run& run) {
  const cuda::LlamaShape& l = shape.llama;
  if (!shape.decodes()) return 0.5 * l.most_rows * l.tokens * (l.tokens + 1);
  double keys = 0;
  for (const SpeakerRow& row : Sessions(l)) {
    for (int step = run.warmup; step < run.warmup + run.steps; ++step) {
      keys += static_cast<double>(std::min<int64_t>(row.position + step + 1, l.capacity));
    }
  }
  return keys / run.steps;
}

void Count(const Shape& shape, const Run& run, Result* result) {
  const cuda::LlamaShape& l = shape.llama;
  const double bytes = BytesOf(run.number), rows = 1.0 * l.most_rows * l.tokens;
  const double keys = KeysSeen(shape, run);
  const double embedding = 1.0 * shape.vocabulary * l.width;
  const double multiplied = static_cast<double>(shape.parameters()) - (shape.tied ? 0 : embedding);
  // What the queries of one session see goes through its caches once, whoever multiplies it.
  const double cached = shape.decodes() ? keys : rows;
  result->tokens = rows;
  result->bytes = bytes * multiplied + bytes * 2 * cached * l.layers * l.kv_heads * l.head_dim +
                  4 * rows * shape.vocabulary;
  result->flops = 2 * rows * multiplied + 4 * keys * l.layers * l.heads * l.head_dim;
}

}  // namespace

int64_t Shape::parameters() const {
  const int64_t width = llama.width, inner = int64_t{1} * llama.heads * llama.head_dim;
  const int64_t keys = int64_t{2} * llama.kv_heads * llama.head_dim;
  const int64_t block = width * (2 * inner + keys) + 3 * width * llama.mlp + 2 * width;
  return llama.layers * block + width + (tied ? 1 : 2) * width * vocabulary;
}

const std::vector<Shape>& Known() {
  static const auto* const known =
      new std::vector<Shape>{{.name = "llama-3.2-3b",
                              .about = "decodes 320 sessions of up to 1024 tokens",
                              .llama = {.layers = 28,
                                        .width = 3072,
                                        .mlp = 8192,
                                        .heads = 24,
                                        .kv_heads = 8,
                                        .head_dim = 128,
                                        .rope_base = 500000,
                                        .epsilon = kEpsilon,
                                        .slots = 320,
                                        .capacity = 1024,
                                        .most_rows = 320,
                                        .splits = 2},
                              .vocabulary = 128256,
                              .tied = true},
                             Cs336("s", 768, 3072, 12, 12),
                             Cs336("m", 1024, 4096, 24, 16),
                             Cs336("l", 1280, 5120, 36, 20),
                             Cs336("xl", 1600, 6400, 48, 25),
                             Cs336("2.7b", 2560, 10240, 32, 32),
                             {.name = "tiny",
                              .about = "decodes 3 sessions, to see that all works",
                              .llama = {.layers = 2,
                                        .width = 32,
                                        .mlp = 48,
                                        .heads = 4,
                                        .kv_heads = 2,
                                        .head_dim = 8,
                                        .rope_base = 10000,
                                        .epsilon = kEpsilon,
                                        .slots = 3,
                                        .capacity = 16,
                                        .most_rows = 3},
                              .vocabulary = 64,
                              .tied = true},
                             {.name = "tiny-forward",
                              .about = "forward, batch 2, context 8, to see that all works",
                              .llama = {.layers = 2,
                                        .width = 32,
                                        .mlp = 48,
                                        .heads = 4,
                                        .kv_heads = 4,
                                        .head_dim = 8,
                                        .rope_base = 10000,
                                        .epsilon = kEpsilon,
                                        .slots = 2,
                                        .capacity = 8,
                                        .most_rows = 2,
                                        .tokens = 8},
                              .vocabulary = 64}};
  return *known;
}

const Shape* Find(const std::string& name) {
  for (const Shape& shape : Known()) {
    if (shape.name == name) return &shape;
  }
  return nullptr;
}

absl::StatusOr<Result> Measure(cuda::Gpu* gpu, const Shape& shape, const Run& run) {
  Shape sized = shape;
  sized.llama.less_precise = run.number == cuda::Number::kTf32;
  Result result;
  const absl::Status status = cuda::OfNumber(run.number, [&]<typename T>(T) {
    return sized.decodes() ? Decode<T>(gpu, sized, run, &result)
                           : GoForward<T>(gpu, sized, run, &result);
  });
  if (!status.ok()) return status;
  Count(sized, run, &result);
  return result;
}

}  // namespace firstbyte::shapes

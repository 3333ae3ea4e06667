#include "model/cuda/gpu_lm.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace firstbyte::cuda {

template <typename T>
absl::StatusOr<std::unique_ptr<GpuLm<T>>> GpuLm<T>::Create(Gpu* gpu, const LmShape& shape,
                                                           const LmWeights& weights,
                                                           const Loader& load) {
  std::unique_ptr<GpuLm> made(new GpuLm(gpu, shape));
  absl::Status status = made->Open(weights, load);
  if (!status.ok()) return status;
  return made;
}

template <typename T>
absl::StatusOr<std::unique_ptr<GpuLm<T>>> GpuLm<T>::Random(Gpu* gpu, const LmShape& shape,
                                                           uint64_t seed) {
  auto made = Create(gpu, shape, {}, [](int) { return LlamaBlockWeights{}; });
  if (!made.ok()) return made;
  absl::Status status = (*made)->head_.Randomise(Queue::kSteps, seed);
  if (!shape.tied) {
    const NoiseStep<T> noise = {(*made)->embedding_.get(),
                                int64_t{shape.vocabulary} * shape.llama.width, seed + 1, 1};
    status.Update(gpu->Call((*made)->kernels_.noise, Queue::kSteps, &noise));
  }
  status.Update((*made)->llama_->Randomise(seed + 2));
  if (!status.ok()) return status;
  return made;
}

template <typename T>
GpuLm<T>::GpuLm(Gpu* gpu, const LmShape& shape)
    : gpu_(gpu), shape_(shape), kernels_(KernelsOf<T>(gpu->plugin())) {}

template <typename T>
absl::Status GpuLm<T>::Open(const LmWeights& weights, const Loader& load) {
  if (shape_.vocabulary % kRowUnit != 0 || shape_.llama.tokens != 1) {
    return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
                 "on a GPU a language model's vocabulary must be a multiple of 8, and a session "
                 "has one token a step");
  }
  absl::Status status = Take(GpuLlama<T>::Create(gpu_, shape_.llama, load, weights.gain), &llama_);
  if (status.ok()) status = LoadEnds(weights);
  if (status.ok()) status = Allocate();
  if (!status.ok()) return status;
  return Take(GpuStage::Create(gpu_,
                               {.mode = shape_.mode,
                                .max_batch = shape_.llama.most_rows,
                                .input_bytes = int64_t{sizeof(SpeakerRow)} * shape_.llama.most_rows,
                                .result_bytes = int64_t{4} * shape_.llama.most_rows},
                               [this](const GpuStage::Step& step) { return Body(step); }),
              &stage_);
}

template <typename T>
absl::Status GpuLm<T>::LoadEnds(const LmWeights& weights) {
  const LlamaShape& l = shape_.llama;
  const GpuLinear::Shape head = {.n = shape_.vocabulary,
                                 .k = l.width,
                                 .number = GpuLlama<T>::NumberFor(l),
                                 .wide = true,
                                 .most_rows = l.most_rows};
  absl::Status status = Take(weights.head.empty() ? GpuLinear::Blank(gpu_, head)
                                                  : GpuLinear::Create(gpu_, head, weights.head, {}),
                             &head_);
  if (!status.ok() || shape_.tied) return status;
  status = Take(gpu_->NewArray<T>(int64_t{shape_.vocabulary} * l.width), &embedding_);
  if (!status.ok() || weights.embedding.empty()) return status;
  std::vector<T> rounded(weights.embedding.size());
  for (size_t i = 0; i < rounded.size(); ++i) Store(weights.embedding[i], &rounded[i]);
  return CopyTo<T>(gpu_, rounded, embedding_.get());
}

template <typename T>
absl::Status GpuLm<T>::Allocate() {
  const int64_t slots = shape_.llama.slots, rows = shape_.llama.most_rows;
  absl::Status status;
  const auto make = [&]<typename U>(int64_t count, auto... arrays) {
    (status.Update(Take(gpu_->NewArray<U>(count), arrays)), ...);
  };
  make.template operator()<uint64_t>(slots, &seeds_);
  make.template operator()<int64_t>(slots, &draws_, &positions_, &limits_);
  make.template operator()<int32_t>(slots, &top_ks_, &tokens_, &stopped_, &places_, &lengths_);
  make.template operator()<float>(slots, &temperatures_, &top_ps_, &penalties_);
  make.template operator()<uint32_t>(slots * CeilDiv(shape_.vocabulary, 32), &seen_);
  make.template operator()<int32_t>(rows, &active_, &heard_);
  make.template operator()<float>(rows * shape_.vocabulary, &logits_);
  return status;
}

template <typename T>
Speakers GpuLm<T>::speakers() const {
  return {.seeds = seeds_.get(),
          .draws = draws_.get(),
          .temperatures = temperatures_.get(),
          .top_ks = top_ks_.get(),
          .top_ps = top_ps_.get(),
          .penalties = penalties_.get(),
          .seen = seen_.get(),
          .tokens = tokens_.get(),
          .positions = positions_.get(),
          .limits = limits_.get(),
          .stopped = stopped_.get(),
          .places = places_.get(),
          .lengths = lengths_.get()};
}

template <typename T>
absl::StatusOr<Ticket> GpuLm<T>::Submit(absl::Span<const int32_t> slots,
                                        absl::Span<const SpeakerRow> given) {
  absl::StatusOr<char*> inputs = stage_->Inputs();
  if (!inputs.ok()) return inputs.status();
  if (slots.size() > static_cast<size_t>(shape_.llama.most_rows)) return stage_->Submit({});
  std::copy_n(given.begin(), slots.size(), ArrayAt<SpeakerRow>(*inputs, 0));
  return stage_->Submit(slots);
}

template <typename T>
absl::StatusOr<const int32_t*> GpuLm<T>::Wait(Ticket ticket) {
  const absl::StatusOr<const char*> results = stage_->Wait(ticket);
  if (!results.ok()) return results.status();
  return ArrayAt<int32_t>(*results, 0);
}

template <typename T>
absl::Status GpuLm<T>::Body(const GpuStage::Step& step) const {
  const JoinStep join = {.given = ArrayAt<SpeakerRow>(step.inputs, 0),
                         .slots = step.slots,
                         .speakers = speakers(),
                         .active = active_.get(),
                         .tokens = heard_.get(),
                         .rows = step.rows,
                         .vocabulary = shape_.vocabulary,
                         .capacity = shape_.llama.capacity};
  const T* table = shape_.tied ? static_cast<const T*>(head_.weights()) : embedding_.get();
  const EmbedStep<T> embed = {table, heard_.get(),      active_.get(), llama_->x(), step.rows,
                              1,     shape_.llama.width};
  absl::Status status = gpu_->Call(gpu_->plugin().join, Queue::kSteps, &join);
  status.Update(gpu_->Call(kernels_.embed, Queue::kSteps, &embed));
  status.Update(llama_->Forward(
      Queue::kSteps, {step.rows, active_.get(), positions_.get(), places_.get(), lengths_.get()}));
  status.Update(head_.Forward(Queue::kSteps, llama_->normed(), step.rows, logits_.get()));
  if (status.ok()) status = Draw(step);
  return status;
}

template <typename T>
absl::Status GpuLm<T>::Draw(const GpuStage::Step& step) const {
  auto* drawn = ArrayAt<int32_t>(step.results, 0);
  const SampleStep sample = {.logits = logits_.get(),
                             .slots = active_.get(),
                             .seeds = seeds_.get(),
                             .draws = draws_.get(),
                             .temperatures = temperatures_.get(),
                             .top_ks = top_ks_.get(),
                             .top_ps = top_ps_.get(),
                             .penalties = penalties_.get(),
                             .seen = seen_.get(),
                             .tokens = drawn,
                             .rows = step.rows,
                             .vocabulary = shape_.vocabulary};
  const KeepStep keep = {active_.get(), drawn, speakers(), shape_.end, step.rows};
  absl::Status status = gpu_->Call(gpu_->plugin().sample, Queue::kSteps, &sample);
  status.Update(gpu_->Call(gpu_->plugin().keep, Queue::kSteps, &keep));
  return status;
}

template class GpuLm<float>;
template class GpuLm<Bf16>;
template class GpuLm<F16>;

}  // namespace firstbyte::cuda

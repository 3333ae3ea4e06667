#include "model/cuda/gpu_llama.h"

#include <cmath>
#include <utility>

#include "base/error.h"

namespace firstbyte::cuda {

template <typename T>
absl::StatusOr<std::unique_ptr<GpuLlama<T>>> GpuLlama<T>::Create(Gpu* gpu, const LlamaShape& shape,
                                                                 const Loader& load,
                                                                 absl::Span<const float> gain) {
  std::unique_ptr<GpuLlama> made(new GpuLlama(gpu, shape));
  absl::Status status = made->CheckShape();
  for (int i = 0; i < shape.layers && status.ok(); ++i) {
    absl::StatusOr<LlamaBlockWeights> weights = load(i);
    status = weights.status();
    if (status.ok()) status = made->LoadBlock(*weights, &made->blocks_[i]);
  }
  if (status.ok()) status = made->LoadGain(gain, &made->scale_);
  if (status.ok()) status = made->LoadFrequencies();
  if (status.ok()) status = made->Allocate();
  if (!status.ok()) return status;
  return made;
}

template <typename T>
GpuLlama<T>::GpuLlama(Gpu* gpu, const LlamaShape& shape)
    : gpu_(gpu), shape_(shape), kernels_(KernelsOf<T>(gpu->plugin())), blocks_(shape.layers) {}

template <typename T>
Number GpuLlama<T>::NumberFor(const LlamaShape& shape) {
  if constexpr (std::is_same_v<T, Bf16>) return Number::kBf16;
  if constexpr (std::is_same_v<T, F16>) return Number::kF16;
  return shape.less_precise ? Number::kTf32 : Number::kF32;
}

template <typename T>
absl::Status GpuLlama<T>::CheckShape() const {
  if (shape_.width % kRowUnit == 0 && shape_.mlp % kRowUnit == 0 && inner() % kRowUnit == 0) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
               "on a GPU the widths of a language model must be multiples of 8");
}

template <typename T>
absl::Status GpuLlama<T>::Linear(int n, int k, absl::Span<const float> weight,
                                 GpuLinear* linear) const {
  const GpuLinear::Shape shape = {
      .n = n, .k = k, .number = NumberFor(shape_), .most_rows = shape_.most_rows * shape_.tokens};
  if (weight.empty()) return Take(GpuLinear::Blank(gpu_, shape), linear);
  return Take(GpuLinear::Create(gpu_, shape, weight, {}), linear);
}

template <typename T>
absl::Status GpuLlama<T>::LoadGain(absl::Span<const float> gain, DeviceArray<float>* scale) const {
  if (gain.empty()) return Take(gpu_->NewArray<float>(shape_.width), scale);
  std::vector<float> beyond_one;
  for (float g : gain) beyond_one.push_back(g - 1);
  return Take(Upload<float>(gpu_, beyond_one), scale);
}

template <typename T>
absl::Status GpuLlama<T>::LoadBlock(const LlamaBlockWeights& weights, Block* b) const {
  const int width = shape_.width, mlp = shape_.mlp;
  absl::Status status = LoadGain(weights.attention_gain, &b->attention_scale);
  status.Update(LoadGain(weights.mlp_gain, &b->mlp_scale));
  status.Update(Linear(qkv_width(), width, weights.qkv, &b->qkv));
  status.Update(Linear(width, inner(), weights.out, &b->out));
  status.Update(Linear(2 * mlp, width, weights.gate_up, &b->gate_up));
  status.Update(Linear(width, mlp, weights.down, &b->down));
  status.Update(Take(gpu_->NewArray<T>(cache_size()), &b->keys));
  status.Update(Take(gpu_->NewArray<T>(cache_size()), &b->values));
  return status;
}

template <typename T>
absl::Status GpuLlama<T>::Randomise(uint64_t seed) {
  absl::Status status;
  for (Block& block : blocks_) {
    for (GpuLinear* linear : {&block.qkv, &block.out, &block.gate_up, &block.down}) {
      status.Update(linear->Randomise(Queue::kSteps, ++seed));
    }
    for (T* cache : {block.keys.get(), block.values.get()}) {
      const NoiseStep<T> noise = {cache, cache_size(), ++seed, 1};
      status.Update(gpu_->Call(kernels_.noise, Queue::kSteps, &noise));
    }
  }
  return status;
}

template <typename T>
absl::Status GpuLlama<T>::LoadFrequencies() {
  std::vector<double> frequencies;
  for (int i = 0; i < shape_.head_dim / 2; ++i) {
    frequencies.push_back(std::pow(shape_.rope_base, -2.0 * i / shape_.head_dim));
  }
  std::vector<float> offsets;  // of a session's tokens from its first
  for (int token = 0; token < shape_.tokens; ++token) {
    for (double f : frequencies) offsets.push_back(static_cast<float>(token * f));
  }
  absl::Status status = Take(Upload<double>(gpu_, frequencies), &frequencies_);
  status.Update(Take(Upload<float>(gpu_, offsets), &offsets_));
  return status;
}

template <typename T>
absl::Status GpuLlama<T>::Allocate() {
  const int64_t rows = int64_t{shape_.most_rows} * shape_.tokens;
  const int64_t parts = rows * shape_.heads * shape_.splits;
  absl::Status status;
  const auto make = [&]<typename U>(DeviceArray<U>* array, int64_t count) {
    status.Update(Take(gpu_->NewArray<U>(count), array));
  };
  make(&x_, rows * shape_.width);
  make(&normed_, rows * shape_.width);
  make(&qkv_, rows * qkv_width());
  make(&extremes_, 2 * parts);
  make(&partials_, parts * shape_.head_dim);
  make(&attended_, rows * inner());
  make(&branch_, rows * shape_.width);
  make(&gate_up_, 2 * rows * shape_.mlp);
  make(&mlp_, rows * shape_.mlp);
  return status;
}

template <typename T>
absl::Status GpuLlama<T>::Norm(Queue queue, const Step& step, const T* branch,
                               const DeviceArray<float>& scale) const {
  const ModulateStep<T> norm = {.x = x_.get(),
                                .branch = branch,
                                .gate = nullptr,
                                .scale = scale.get(),
                                .shift = nullptr,
                                .stride = 0,
                                .slots = step.slots,
                                .y = normed_.get(),
                                .epsilon = shape_.epsilon,
                                .rows = step.rows,
                                .tokens = shape_.tokens,
                                .width = shape_.width};
  return gpu_->Call(kernels_.modulate, queue, &norm);
}

template <typename T>
absl::Status GpuLlama<T>::Attend(Queue queue, const Step& step, const Block& block) const {
  const int rows = step.rows * shape_.tokens;
  const HeadsStep<T> heads = {.qkv = qkv_.get(),
                              .query_gain = nullptr,
                              .key_gain = nullptr,
                              .frequencies = frequencies_.get(),
                              .offsets = offsets_.get(),
                              .slots = step.slots,
                              .positions = step.positions,
                              .places = step.places,
                              .keys = block.keys.get(),
                              .values = block.values.get(),
                              .epsilon = shape_.epsilon,
                              .interleaved = false,
                              .rows = step.rows,
                              .tokens = shape_.tokens,
                              .heads = shape_.heads,
                              .kv_heads = shape_.kv_heads,
                              .head_dim = shape_.head_dim,
                              .capacity = shape_.capacity};
  const AttendStep<T> attend = {.queries = qkv_.get(),
                                .query_stride = qkv_width(),
                                .keys = block.keys.get(),
                                .values = block.values.get(),
                                .slots = step.slots,
                                .lengths = step.lengths,
                                .extremes = extremes_.get(),
                                .partials = partials_.get(),
                                .out = attended_.get(),
                                .scale = 1 / std::sqrt(static_cast<float>(shape_.head_dim)),
                                .causal = true,
                                .rows = step.rows,
                                .tokens = shape_.tokens,
                                .heads = shape_.heads,
                                .kv_heads = shape_.kv_heads,
                                .head_dim = shape_.head_dim,
                                .capacity = shape_.capacity,
                                .splits = shape_.splits};
  absl::Status status = block.qkv.Forward(queue, normed_.get(), rows, qkv_.get());
  status.Update(gpu_->Call(kernels_.heads, queue, &heads));
  status.Update(gpu_->Call(kernels_.attend, queue, &attend));
  status.Update(block.out.Forward(queue, attended_.get(), rows, branch_.get()));
  return status;
}

template <typename T>
absl::Status GpuLlama<T>::Feed(Queue queue, const Step& step, const Block& block) const {
  const int rows = step.rows * shape_.tokens;
  const SwigluStep<T> swiglu = {gate_up_.get(), mlp_.get(), rows, shape_.mlp};
  absl::Status status = block.gate_up.Forward(queue, normed_.get(), rows, gate_up_.get());
  status.Update(gpu_->Call(kernels_.swiglu, queue, &swiglu));
  status.Update(block.down.Forward(queue, mlp_.get(), rows, branch_.get()));
  return status;
}

template <typename T>
absl::Status GpuLlama<T>::Forward(Queue queue, const Step& step) const {
  const T* branch = nullptr;
  for (const Block& block : blocks_) {
    absl::Status status = Norm(queue, step, branch, block.attention_scale);
    branch = branch_.get();
    status.Update(Attend(queue, step, block));
    status.Update(Norm(queue, step, branch, block.mlp_scale));
    status.Update(Feed(queue, step, block));
    if (!status.ok()) return status;
  }
  return Norm(queue, step, branch, scale_);
}

template class GpuLlama<float>;
template class GpuLlama<Bf16>;
template class GpuLlama<F16>;

}  // namespace firstbyte::cuda

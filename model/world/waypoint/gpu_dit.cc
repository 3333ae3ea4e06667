#include "model/world/waypoint/gpu_dit.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace firstbyte::waypoint {

using cuda::ArrayAt;
using cuda::GpuLinear;
using cuda::GpuStage;
using cuda::Padded;
using cuda::Queue;
using cuda::Take;

// --- Load

template <typename T>
GpuDit<T>::Inputs::Inputs(const Config& c, const GpuSize& size)
    : latents_stride(Padded(c.token_latents())), controls_stride(Padded(c.controls())) {
  constexpr int64_t kUnit = 16;
  int64_t end = 0;
  const auto place = [&end](int64_t count, size_t each) {
    const auto length = static_cast<int64_t>(count * each);
    return std::exchange(end, end + (length + kUnit - 1) / kUnit * kUnit);
  };
  latents = place(int64_t{size.max_batch} * c.tokens() * latents_stride, sizeof(T));
  controls = place(int64_t{size.max_batch} * controls_stride, sizeof(T));
  levels = place(size.max_batch, sizeof(int32_t));
  positions = place(size.slots, sizeof(int64_t));
  for (Places* places : {&local, &global}) {
    places->here = place(size.slots, sizeof(int32_t));
    places->seen = place(size.slots, sizeof(int32_t));
  }
  bytes = end;
}

template <typename T>
absl::StatusOr<std::unique_ptr<GpuDit<T>>> GpuDit<T>::Create(cuda::Gpu* gpu, const Config& config,
                                                             const Dit& dit,
                                                             nn::WeightLoader* weights,
                                                             const GpuSize& size) {
  if (config.n_heads / config.n_kv_heads > cuda::AttendStep<T>::kMaxGroup) {
    return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
                 "on a GPU at most 8 heads of a world may share keys and values");
  }
  std::unique_ptr<GpuDit> made(new GpuDit(gpu, config, size));
  absl::Status status = Take(GpuRings<T>::Create(gpu, config, size.slots), &made->rings_);
  if (status.ok()) status = made->Load(dit, weights);
  if (status.ok()) status = made->Allocate();
  if (status.ok()) status = made->OpenStages();
  if (!status.ok()) return status;
  return made;
}

template <typename T>
GpuDit<T>::GpuDit(cuda::Gpu* gpu, const Config& config, const GpuSize& size)
    : gpu_(gpu),
      kernels_(cuda::KernelsOf<T>(gpu->plugin())),
      config_(config),
      size_(size),
      inputs_(config, size),
      layers_(config.n_layers) {}

template <typename T>
absl::Status GpuDit<T>::Linear(const nn::WeightLoader& weights, const Matrix& matrix,
                               GpuLinear::Shape shape, GpuLinear* linear) const {
  if (!weights.status().ok()) return weights.status();
  if constexpr (std::is_same_v<T, cuda::Bf16>) {
    shape.number = cuda::Number::kBf16;
  } else {
    shape.number = size_.less_precise ? cuda::Number::kTf32 : cuda::Number::kF32;
  }
  return Take(GpuLinear::Create(gpu_, shape, matrix.weight, matrix.bias), linear);
}

template <typename T>
absl::Status GpuDit<T>::Linear(nn::WeightLoader* weights, const std::string& name,
                               GpuLinear::Shape shape, GpuLinear* linear) const {
  const Matrix matrix = {weights->LoadTensor(name + ".weight", {shape.n, shape.k}), {}};
  return Linear(*weights, matrix, shape, linear);
}

template <typename T>
absl::Status GpuDit<T>::Load(const Dit& dit, nn::WeightLoader* weights) {
  const int d = config_.d_model, hidden = d * config_.mlp_ratio, n = size_.max_batch;
  const int rows = n * config_.tokens(), latents = config_.token_latents();
  absl::Status status = Linear(*weights, LoadPatchify(config_, weights),
                               {.n = d, .k = latents, .wide = true, .most_rows = rows}, &patchify_);
  status.Update(Linear(*weights, LoadUnpatchify(config_, weights),
                       {.n = latents, .k = d, .wide = true, .most_rows = rows}, &unpatchify_));
  status.Update(Linear(
      weights, "ctrl_emb.mlp.fc1",
      {.n = hidden, .k = config_.controls(), .activation = cuda::Activation::kSilu, .most_rows = n},
      &control1_));
  status.Update(Linear(weights, "ctrl_emb.mlp.fc2",
                       {.n = d, .k = hidden, .wide = true, .most_rows = n}, &control2_));
  for (int i = 0; i < config_.n_layers && status.ok(); ++i) status = LoadLayer(i, weights);
  if (status.ok()) status = LoadTable(dit.conditioning());
  if (status.ok()) status = LoadAngles();
  return status;
}

template <typename T>
absl::Status GpuDit<T>::LoadLayer(int index, nn::WeightLoader* weights) {
  const int d = config_.d_model, hidden = d * config_.mlp_ratio, n = size_.max_batch;
  const int rows = n * config_.tokens();
  const std::string prefix = BlockPrefix(index);
  Layer& layer = layers_[index];
  absl::Status status = Linear(*weights, LoadQkv(config_, index, weights),
                               {.n = qkv_width(), .k = d, .most_rows = rows}, &layer.qkv);
  const auto load = [&](const char* name, const GpuLinear::Shape& shape, GpuLinear* linear) {
    status.Update(Linear(weights, prefix + name, shape, linear));
  };
  load("attn.out_proj", {.n = d, .k = d, .most_rows = rows}, &layer.out);
  load("dit_mlp.fc1",
       {.n = hidden, .k = d, .activation = cuda::Activation::kSilu, .most_rows = rows}, &layer.fc1);
  load("dit_mlp.fc2", {.n = d, .k = hidden, .most_rows = rows}, &layer.fc2);
  layer.value_mix = LoadValueMix(index, weights);
  if (config_.has_control(index)) {
    layer.fusion = std::make_unique<Fusion>();
    load("ctrl_mlpfusion.fc1_x", {.n = d, .k = d, .most_rows = rows}, &layer.fusion->x);
    load("ctrl_mlpfusion.fc1_c", {.n = d, .k = d, .most_rows = n}, &layer.fusion->control);
    load("ctrl_mlpfusion.fc2", {.n = d, .k = d, .wide = true, .add = true, .most_rows = rows},
         &layer.fusion->out);
  }
  status.Update(weights->status());
  return status;
}

template <typename T>
absl::Status GpuDit<T>::LoadTable(const Conditioning& conditioning) {
  std::vector<float> table(config_.sigmas() * level_floats());
  float* to = table.data();
  for (int sigma = 0; sigma < config_.sigmas(); ++sigma, to += level_floats()) {
    for (int i = 0; i < config_.n_layers; ++i) {
      std::copy_n(conditioning.Layer(sigma, i), kModulations * width(),
                  to + i * kModulations * width());
    }
    std::copy_n(conditioning.Output(sigma), 2 * width(),
                to + int64_t{config_.n_layers} * kModulations * width());
  }
  return Take(cuda::Upload<float>(gpu_, table), &table_);
}

// A quarter of a head's pairs turns with x, a quarter with y, the rest with time.
template <typename T>
absl::Status GpuDit<T>::LoadAngles() {
  const std::vector<float> space = SpaceAngles(config_);
  const std::vector<double> time = TimeFrequencies(config_);
  const auto half = static_cast<int64_t>(time.size()), pairs = 2 * half;
  std::vector<double> frequencies(pairs);
  std::copy(time.begin(), time.end(), frequencies.begin() + half);
  std::vector<float> offsets(config_.tokens() * pairs);
  for (int token = 0; token < config_.tokens(); ++token) {
    std::copy_n(space.begin() + token * half, half, offsets.begin() + token * pairs);
  }
  const std::vector<float> ones(config_.head_dim(), 1);
  absl::Status status = Take(cuda::Upload<double>(gpu_, frequencies), &frequencies_);
  status.Update(Take(cuda::Upload<float>(gpu_, offsets), &offsets_));
  status.Update(Take(cuda::Upload<float>(gpu_, ones), &ones_));
  return status;
}

template <typename T>
absl::Status GpuDit<T>::Allocate() {
  const int64_t d = config_.d_model, hidden = d * config_.mlp_ratio, n = size_.max_batch;
  const int64_t rows = n * config_.tokens();
  absl::Status status;
  const auto make = [&]<typename U>(cuda::DeviceArray<U>* array, int64_t count) {
    status.Update(Take(gpu_->NewArray<U>(count), array));
  };
  make(&x_, rows * d);
  make(&normed_, rows * d);
  make(&qkv_, rows * qkv_width());
  make(&first_qkv_, rows * qkv_width());
  make(&attended_, rows * d);
  make(&branch_, rows * d);
  make(&hidden_, rows * hidden);
  make(&extremes_, 2 * rows * config_.n_heads);
  make(&partials_, rows * d);
  make(&control_hidden_, n * hidden);
  make(&control_x_, n * d);
  make(&control_, n * d);
  make(&fused_, n * d);
  return status;
}

template <typename T>
absl::Status GpuDit<T>::OpenStages() {
  const int64_t velocity = int64_t{4} * config_.tokens() * inputs_.latents_stride;
  GpuStage::Shape shape = {.mode = size_.mode,
                           .max_batch = size_.max_batch,
                           .input_bytes = inputs_.bytes,
                           .result_bytes = velocity * size_.max_batch,
                           .result_row_bytes = velocity};
  const auto open = [&](bool commit) {
    return GpuStage::Create(gpu_, shape,
                            [this, commit](const Step& step) { return Body(step, commit); });
  };
  absl::Status status = Take(open(false), &denoise_);
  shape.result_bytes = 16;  // there are none
  shape.result_row_bytes = 0;
  if (status.ok()) status = Take(open(true), &commit_);
  return status;
}

// --- Fill

template <typename T>
void GpuDit<T>::FillPlaces(const PassRow& row, const Ring& ring, const Places& places,
                           char* inputs) const {
  ArrayAt<int32_t>(inputs, places.here)[row.slot] = ring.Here(row.frame) * config_.tokens();
  ArrayAt<int32_t>(inputs, places.seen)[row.slot] = ring.Seen(row.frame) * config_.tokens();
}

template <typename T>
void GpuDit<T>::Fill(absl::Span<const PassRow> rows, char* inputs) const {
  auto* latents = ArrayAt<T>(inputs, inputs_.latents);
  auto* controls = ArrayAt<T>(inputs, inputs_.controls);
  auto* levels = ArrayAt<int32_t>(inputs, inputs_.levels);
  for (const PassRow& row : rows) {
    const float* from = row.latent;
    for (int token = 0; token < config_.tokens(); ++token, latents += inputs_.latents_stride) {
      for (int i = 0; i < config_.token_latents(); ++i) cuda::Store(*from++, latents + i);
    }
    for (int i = 0; i < config_.controls(); ++i) cuda::Store(row.controls[i], controls + i);
    controls += inputs_.controls_stride;
    *levels++ = row.sigma;
    ArrayAt<int64_t>(inputs, inputs_.positions)[row.slot] = row.frame * config_.time_stride();
    FillPlaces(row, config_.local_ring(), inputs_.local, inputs);
    FillPlaces(row, config_.global_ring(), inputs_.global, inputs);
  }
}

template <typename T>
absl::StatusOr<Ticket> GpuDit<T>::Submit(GpuStage* stage, absl::Span<const PassRow> rows) {
  absl::StatusOr<char*> inputs = stage->Inputs();
  if (!inputs.ok()) return inputs.status();
  if (rows.size() > static_cast<size_t>(size_.max_batch)) return stage->Submit({});
  Fill(rows, *inputs);
  std::vector<int32_t> slots;
  for (const PassRow& row : rows) slots.push_back(row.slot);
  return stage->Submit(slots);
}

template <typename T>
absl::StatusOr<Ticket> GpuDit<T>::Denoise(absl::Span<const PassRow> rows) {
  return Submit(denoise_.get(), rows);
}
template <typename T>
absl::StatusOr<Ticket> GpuDit<T>::Commit(absl::Span<const PassRow> rows) {
  return Submit(commit_.get(), rows);
}

// --- Body

template <typename T>
absl::Status GpuDit<T>::Modulate(const Step& step, const Modulation& modulation) const {
  const cuda::ModulateStep<T> modulate = {
      .x = x_.get(),
      .branch = modulation.gate == nullptr ? nullptr : branch_.get(),
      .gate = modulation.gate,
      .scale = modulation.scale,
      .shift = modulation.shift,
      .stride = level_floats(),
      .slots = step.slots,
      .y = normed_.get(),
      .epsilon = kEpsilon,
      .rows = step.rows,
      .tokens = config_.tokens(),
      .width = config_.d_model,
      .levels = ArrayAt<int32_t>(step.inputs, inputs_.levels)};
  return gpu_->Call(kernels_.modulate, Queue::kSteps, &modulate);
}

template <typename T>
absl::Status GpuDit<T>::Activate(T* y, int rows, int width, const T* add) const {
  const cuda::ActivateStep<T> activate = {.y = y,
                                          .stride = width,
                                          .rows = rows,
                                          .width = width,
                                          .activation = cuda::Activation::kSilu,
                                          .add = add,
                                          .tokens = config_.tokens()};
  return gpu_->Call(kernels_.activate, Queue::kSteps, &activate);
}

template <typename T>
absl::Status GpuDit<T>::Embed(const Step& step) const {
  const auto* latents = ArrayAt<T>(step.inputs, inputs_.latents);
  const auto* controls = ArrayAt<T>(step.inputs, inputs_.controls);
  absl::Status status =
      patchify_.Forward(Queue::kSteps, latents, step.rows * config_.tokens(), x_.get());
  status.Update(control1_.Forward(Queue::kSteps, controls, step.rows, control_hidden_.get()));
  status.Update(
      control2_.Forward(Queue::kSteps, control_hidden_.get(), step.rows, control_x_.get()));
  // As every fusion wants it.
  const cuda::ModulateStep<T> norm = {.x = control_x_.get(),
                                      .branch = nullptr,
                                      .gate = nullptr,
                                      .scale = Zeros(),
                                      .shift = nullptr,
                                      .stride = 0,
                                      .slots = step.slots,
                                      .y = control_.get(),
                                      .epsilon = kEpsilon,
                                      .rows = step.rows,
                                      .tokens = 1,
                                      .width = config_.d_model};
  status.Update(gpu_->Call(kernels_.modulate, Queue::kSteps, &norm));
  return status;
}

template <typename T>
absl::Status GpuDit<T>::Heads(int index, const Step& step, T* qkv) const {
  const typename GpuRings<T>::Layer& ring = rings_.layer(index);
  const bool mixes = index > 0;  // the first layer's values are what others are mixed with
  const cuda::HeadsStep<T> heads = {.qkv = qkv,
                                    .query_gain = ones_.get(),
                                    .key_gain = ones_.get(),
                                    .frequencies = frequencies_.get(),
                                    .offsets = offsets_.get(),
                                    .slots = step.slots,
                                    .positions = ArrayAt<int64_t>(step.inputs, inputs_.positions),
                                    .places = ArrayAt<int32_t>(step.inputs, PlacesOf(index).here),
                                    .keys = ring.keys.get(),
                                    .values = ring.values.get(),
                                    .epsilon = kEpsilon,
                                    .interleaved = true,
                                    .rows = step.rows,
                                    .tokens = config_.tokens(),
                                    .heads = config_.n_heads,
                                    .kv_heads = config_.n_kv_heads,
                                    .head_dim = config_.head_dim(),
                                    .capacity = ring.capacity,
                                    .mixed = mixes ? first_qkv_.get() : nullptr,
                                    .mix = layers_[index].value_mix};
  return gpu_->Call(kernels_.heads, Queue::kSteps, &heads);
}

template <typename T>
absl::Status GpuDit<T>::Attend(int index, const Step& step, const T* qkv) const {
  const typename GpuRings<T>::Layer& ring = rings_.layer(index);
  const cuda::AttendStep<T> attend = {
      .queries = qkv,
      .query_stride = qkv_width(),
      .keys = ring.keys.get(),
      .values = ring.values.get(),
      .slots = step.slots,
      .lengths = ArrayAt<int32_t>(step.inputs, PlacesOf(index).seen),
      .extremes = extremes_.get(),
      .partials = partials_.get(),
      .out = attended_.get(),
      .scale = 1 / std::sqrt(static_cast<float>(config_.head_dim())),
      .rows = step.rows,
      .tokens = config_.tokens(),
      .heads = config_.n_heads,
      .kv_heads = config_.n_kv_heads,
      .head_dim = config_.head_dim(),
      .capacity = ring.capacity,
      .splits = 1};
  return gpu_->Call(kernels_.attend, Queue::kSteps, &attend);
}

// x += W2 silu(Wx normed + Wc control)
template <typename T>
absl::Status GpuDit<T>::Fuse(const Fusion& fusion, const Step& step) const {
  const int rows = step.rows * config_.tokens();
  absl::Status status = fusion.x.Forward(Queue::kSteps, normed_.get(), rows, branch_.get());
  status.Update(fusion.control.Forward(Queue::kSteps, control_.get(), step.rows, fused_.get()));
  status.Update(Activate(branch_.get(), rows, config_.d_model, fused_.get()));
  status.Update(fusion.out.Forward(Queue::kSteps, branch_.get(), rows, x_.get()));
  return status;
}

// `last`: of a commit, of which keys and values are all that is wanted.
template <typename T>
absl::Status GpuDit<T>::RunLayer(int index, const Step& step, bool last) const {
  const Layer& layer = layers_[index];
  const int rows = step.rows * config_.tokens();
  T* qkv = index == 0 ? first_qkv_.get() : qkv_.get();
  absl::Status status = Modulate(step, {.gate = index == 0 ? nullptr : Modulated(index - 1, 5),
                                        .scale = Modulated(index, 0),
                                        .shift = Modulated(index, 1)});
  status.Update(layer.qkv.Forward(Queue::kSteps, normed_.get(), rows, qkv));
  status.Update(Heads(index, step, qkv));
  if (last) return status;
  status.Update(Attend(index, step, qkv));
  status.Update(layer.out.Forward(Queue::kSteps, attended_.get(), rows, branch_.get()));
  Modulation mlp = {Modulated(index, 2), Modulated(index, 3), Modulated(index, 4)};
  if (layer.fusion) {
    status.Update(Modulate(step, {.gate = std::exchange(mlp.gate, nullptr), .scale = Zeros()}));
    status.Update(Fuse(*layer.fusion, step));
  }
  status.Update(Modulate(step, mlp));
  status.Update(layer.fc1.Forward(Queue::kSteps, normed_.get(), rows, hidden_.get()));
  status.Update(layer.fc2.Forward(Queue::kSteps, hidden_.get(), rows, branch_.get()));
  return status;
}

template <typename T>
absl::Status GpuDit<T>::Body(const Step& step, bool commit) const {
  const int layers = config_.n_layers, rows = step.rows * config_.tokens();
  absl::Status status = Embed(step);
  for (int i = 0; i < layers && status.ok(); ++i) {
    status = RunLayer(i, step, commit && i + 1 == layers);
  }
  if (commit || !status.ok()) return status;
  status = Modulate(step, {.gate = Modulated(layers - 1, 5),
                           .scale = Modulated(layers, 0),
                           .shift = Modulated(layers, 1)});
  status.Update(Activate(normed_.get(), rows, config_.d_model, nullptr));
  status.Update(
      unpatchify_.Forward(Queue::kSteps, normed_.get(), rows, ArrayAt<float>(step.results, 0)));
  return status;
}

// --- Read

template <typename T>
absl::Status GpuDit<T>::FinishDenoise(Ticket ticket, absl::Span<const PassRow> rows) {
  absl::StatusOr<const char*> results = denoise_->Wait(ticket);
  if (!results.ok()) return results.status();
  const auto* from = ArrayAt<float>(*results, 0);
  for (const PassRow& row : rows) {
    float* to = row.velocity;
    for (int token = 0; token < config_.tokens(); ++token, from += inputs_.latents_stride) {
      to = std::copy_n(from, config_.token_latents(), to);
    }
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status GpuDit<T>::FinishCommit(Ticket ticket) {
  return commit_->Wait(ticket).status();
}

template class GpuDit<float>;
template class GpuDit<cuda::Bf16>;

}  // namespace firstbyte::waypoint

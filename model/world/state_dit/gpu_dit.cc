#include "model/world/state_dit/gpu_dit.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace firstbyte::state_dit {
namespace {

using cuda::ArrayAt;
using cuda::GpuLinear;
using cuda::GpuStage;
using cuda::Padded;
using cuda::Queue;
using cuda::Take;

constexpr int kHeadDim = Rings::kHeadDim, kPairs = kHeadDim / 2;
constexpr int kAudioToken = kVideoTokens, kStateToken = kVideoTokens + 1;

// What a token is made of, side by side; the weights of embed_ are in this order. Of most tokens
// most parts are zeros, which costs less than products that scatter their rows.
struct TokenParts {
  explicit TokenParts(const Config& c)
      : estimate(c.latent_channels),
        rays(estimate + c.latent_channels),
        audio(rays + c.column_features()),
        facts(audio + c.audio_channels),
        place(facts + Dit::FactsSize(c)),
        width(place + kTokens) {}
  int latents = 0, estimate, rays, audio, facts, place, width;
};

// What a token gives, side by side.
struct OutParts {
  explicit OutParts(const Config& c)
      : audio(c.latent_channels), note(audio + c.audio_channels), width(note + kNoteSize) {}
  int video = 0, audio, note, width;
};

// Copies `from` [rows, width] to columns `at` and on of `to`, whose rows are `stride` long.
void PutColumns(const std::vector<float>& from, int rows, int stride, int at, float* to) {
  const int64_t width = static_cast<int64_t>(from.size()) / rows;
  for (int row = 0; row < rows; ++row) {
    std::copy_n(from.begin() + row * width, width, to + int64_t{row} * stride + at);
  }
}

}  // namespace

GpuDit::Inputs::Inputs(const Config& c, const Size& size)
    : token_width(Padded(TokenParts(c).width)), facts_width(Padded(Dit::FactsSize(c))) {
  constexpr int64_t kUnit = 16;
  int64_t end = 0;
  const auto place = [&end](int64_t length) {
    return std::exchange(end, end + (length + kUnit - 1) / kUnit * kUnit);
  };
  tokens = place(int64_t{4} * size.max_batch * kTokens * token_width);
  facts = place(int64_t{4} * size.max_batch * facts_width);
  positions = place(int64_t{8} * size.slots);
  places = place(int64_t{4} * size.slots);
  kept = place(int64_t{4} * size.slots);
  lengths = place(int64_t{4} * size.slots);
  bytes = end;
}

absl::StatusOr<std::unique_ptr<GpuDit>> GpuDit::Create(cuda::Gpu* gpu, const Config& config,
                                                       const Dit& dit, nn::WeightLoader* weights,
                                                       const Size& size) {
  const DitConfig& d = config.dit;
  if (d.width % cuda::kRowUnit != 0 || d.mlp % cuda::kRowUnit != 0) {
    return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
                 "on a GPU the widths of a world must be multiples of 8");
  }
  std::unique_ptr<GpuDit> made(new GpuDit(gpu, config, dit, size));
  absl::Status status = made->Load(weights);
  if (status.ok()) status = made->Allocate();
  if (status.ok()) status = made->OpenStages();
  if (!status.ok()) return status;
  return made;
}

GpuDit::GpuDit(cuda::Gpu* gpu, const Config& config, const Dit& dit, const Size& size)
    : gpu_(gpu),
      config_(config),
      dit_(dit),
      size_(size),
      inputs_(config, size),
      capacity_((config.dit.window + 1) * kTokens),
      blocks_(config.dit.layers) {}

absl::Status GpuDit::Linear(nn::WeightLoader* weights, const std::string& name, nn::Bias bias,
                            GpuLinear::Shape shape, GpuLinear* linear) const {
  const std::vector<float> weight = weights->LoadTensor(name + ".weight", {shape.n, shape.k});
  std::vector<float> offset;
  if (bias == nn::Bias::kYes) offset = weights->LoadTensor(name + ".bias", {shape.n});
  if (!weights->status().ok()) return weights->status();
  return Take(GpuLinear::Create(gpu_, shape, weight, offset), linear);
}

cuda::Number GpuDit::told_number() const {
  return size_.number == cuda::Number::kTf32 ? size_.number : cuda::Number::kF32;
}

absl::Status GpuDit::Load(nn::WeightLoader* weights) {
  const DitConfig& d = config_.dit;
  const int facts = Dit::FactsSize(config_), n = size_.max_batch;
  constexpr auto kSilu = cuda::Activation::kSilu;
  const cuda::Number number = told_number();
  absl::Status status =
      Linear(weights, "dit.condition_in", nn::Bias::kYes,
             {.n = d.width, .k = facts, .number = number, .activation = kSilu, .most_rows = n},
             &condition_in_);
  status.Update(Linear(
      weights, "dit.condition_out", nn::Bias::kYes,
      {.n = d.condition, .k = d.width, .number = number, .activation = kSilu, .most_rows = n},
      &condition_out_));
  status.Update(Linear(weights, "dit.final", nn::Bias::kYes,
                       {.n = 2 * d.width,
                        .k = d.condition,
                        .number = number,
                        .most_rows = n,
                        .y_stride = 6 * d.width},
                       &final_));
  status.Update(Linear(weights, "dit.note_past", nn::Bias::kNo,
                       {.n = kNoteSize, .k = facts, .number = number, .most_rows = n},
                       &note_past_));
  if (status.ok()) status = LoadEnds(weights);
  for (int i = 0; i < d.layers && status.ok(); ++i) status = LoadBlock(i, weights);
  if (status.ok()) status = LoadAngles();
  return status;
}

// The layers that make tokens and those that read them, each as one.
absl::Status GpuDit::LoadEnds(nn::WeightLoader* weights) {
  const int width = config_.dit.width, channels = config_.latent_channels;
  const TokenParts in(config_);
  const OutParts out(config_);
  const auto load = [&](const char* name, const std::vector<int64_t>& shape) {
    return weights->LoadTensor(std::string("dit.") + name, shape);
  };
  std::vector<float> embed(int64_t{width} * in.width), read(int64_t{width} * out.width);
  const auto put = [&](const char* name, int inputs, int at) {
    const std::vector<float> weight = load(name, {width, inputs});
    if (!weight.empty()) PutColumns(weight, width, in.width, at, embed.data());
  };
  put("video_in.weight", channels, in.latents);
  if (config_.dit.renderer) put("estimate_in.weight", channels, in.estimate);
  put("rays_in.weight", config_.column_features(), in.rays);
  put("audio_in.weight", config_.audio_channels, in.audio);
  put("state_in.weight", Dit::FactsSize(config_), in.facts);
  const std::vector<float> tokens = load("tokens", {kTokens, width});
  const std::vector<float> biases[] = {load("video_in.bias", {width}),
                                       load("audio_in.bias", {width}),
                                       load("state_in.bias", {width})};
  std::vector<float> offset;
  const auto append = [&](const std::string& name, int n) {
    const std::vector<float> weight = load((name + ".weight").c_str(), {n, width});
    const std::vector<float> bias = load((name + ".bias").c_str(), {n});
    std::copy(weight.begin(), weight.end(), read.begin() + offset.size() * width);
    offset.insert(offset.end(), bias.begin(), bias.end());
  };
  append("video_out", channels);
  append("audio_out", config_.audio_channels);
  append("note_out", kNoteSize);
  if (!weights->status().ok()) return weights->status();
  for (int token = 0; token < kTokens; ++token) {
    const auto& bias = biases[std::max(0, token - kVideoTokens + 1)];
    for (int i = 0; i < width; ++i) {
      embed[int64_t{i} * in.width + in.place + token] = tokens[token * width + i] + bias[i];
    }
  }
  GpuLinear::Shape shape = {
      .n = width, .k = in.width, .number = told_number(), .most_rows = size_.max_batch * kTokens};
  absl::Status status = Take(GpuLinear::Create(gpu_, shape, embed, {}), &embed_);
  shape.n = out.width;
  shape.k = width;
  shape.number = size_.number;
  shape.wide = true;
  status.Update(Take(GpuLinear::Create(gpu_, shape, read, offset), &out_));
  return status;
}

absl::Status GpuDit::LoadBlock(int index, nn::WeightLoader* weights) {
  const DitConfig& d = config_.dit;
  const std::string p = "dit.blocks." + std::to_string(index) + ".";
  const int inner = d.heads * kHeadDim, n = size_.max_batch, rows = n * kTokens;
  const int64_t ring = int64_t{cuda::BytesOf(size_.number)} * size_.slots * inner * capacity_;
  Block& b = blocks_[index];
  absl::Status status = Linear(
      weights, p + "modulation", nn::Bias::kYes,
      {.n = 6 * d.width, .k = d.condition, .number = told_number(), .most_rows = n}, &b.modulation);
  const auto load = [&](const char* name, GpuLinear::Shape shape, GpuLinear* linear) {
    shape.number = size_.number;
    shape.most_rows = rows;
    status.Update(Linear(weights, p + name, nn::Bias::kNo, shape, linear));
  };
  load("qkv", {.n = 3 * inner, .k = d.width}, &b.qkv);
  load("out", {.n = d.width, .k = inner}, &b.out);
  load("up", {.n = d.mlp, .k = d.width, .activation = cuda::Activation::kReluSquared}, &b.up);
  load("down", {.n = d.width, .k = d.mlp}, &b.down);
  const std::vector<float> query_gain = weights->LoadVector(p + "query_gain", kHeadDim);
  const std::vector<float> key_gain = weights->LoadVector(p + "key_gain", kHeadDim);
  status.Update(weights->status());
  if (!status.ok()) return status;
  status.Update(Take(cuda::Upload<float>(gpu_, query_gain), &b.query_gain));
  status.Update(Take(cuda::Upload<float>(gpu_, key_gain), &b.key_gain));
  status.Update(Take(gpu_->NewArray<char>(ring), &b.keys));
  status.Update(Take(gpu_->NewArray<char>(ring), &b.values));
  status.Update(Take(gpu_->NewArray<float>(int64_t{6} * n * d.width), &b.modulated));
  return status;
}

// Pairs turn with the frame, or by the row or the column of their token.
absl::Status GpuDit::LoadAngles() {
  const DitConfig& d = config_.dit;
  std::vector<double> frequencies(kPairs);
  std::vector<float> offsets(kTokens * kPairs);
  int pair = 0;
  for (int part = 0; part < 3; ++part) {
    for (int i = 0; i < d.rope_pairs[part]; ++i, ++pair) {
      const double speed = std::pow(d.rope_base, -1.0 * i / d.rope_pairs[part]);
      if (part == 0) frequencies[pair] = speed;
      for (int token = 0; token < kVideoTokens && part > 0; ++token) {
        const int place = part == 1 ? token / kLatentSide : token % kLatentSide;
        offsets[token * kPairs + pair] = static_cast<float>(place * speed);
      }
    }
  }
  absl::Status status = Take(cuda::Upload<double>(gpu_, frequencies), &frequencies_);
  status.Update(Take(cuda::Upload<float>(gpu_, offsets), &offsets_));
  return status;
}

absl::Status GpuDit::Allocate() {
  const DitConfig& d = config_.dit;
  const int64_t n = size_.max_batch, rows = n * kTokens, inner = int64_t{1} * d.heads * kHeadDim;
  absl::Status status;
  const auto make = [&](cuda::DeviceArray<float>* array, int64_t count) {
    status.Update(Take(gpu_->NewArray<float>(count), array));
  };
  make(&hidden_, n * d.width);
  make(&condition_, n * Padded(d.condition));
  make(&final_modulated_, 6 * n * d.width);
  make(&x_, rows * d.width);
  make(&extremes_, 2 * rows * d.heads);
  make(&partials_, rows * inner);
  const auto make_narrow = [&](cuda::DeviceArray<char>* array, int64_t count) {
    status.Update(Take(gpu_->NewArray<char>(cuda::BytesOf(size_.number) * count), array));
  };
  make_narrow(&normed_, rows * d.width);
  make_narrow(&qkv_, 3 * rows * inner);
  make_narrow(&attended_, rows * inner);
  make_narrow(&branch_, rows * d.width);
  make_narrow(&mlp_, rows * d.mlp);
  return status;
}

absl::Status GpuDit::OpenStages() {
  const int64_t n = size_.max_batch, out = Padded(OutParts(config_).width);
  GpuStage::Shape shape = {.mode = size_.mode,
                           .max_batch = size_.max_batch,
                           .input_bytes = inputs_.bytes,
                           .result_bytes = 4 * n * (kTokens * out + Padded(kNoteSize))};
  const auto open = [&](bool commit) {
    return GpuStage::Create(
        gpu_, shape, [this, commit](const GpuStage::Step& step) { return Body(step, commit); });
  };
  absl::Status status = Take(open(false), &denoise_);
  shape.result_bytes = 16;  // there are none
  if (status.ok()) status = Take(open(true), &commit_);
  return status;
}

// --- Fill

void GpuDit::FillTokens(const PassRow& row, const float* facts, float* tokens) const {
  const TokenParts parts(config_);
  const int channels = config_.latent_channels, features = config_.column_features();
  const auto token = [&](int index) { return tokens + int64_t{index} * inputs_.token_width; };
  std::fill(tokens, token(kTokens), 0.0f);
  for (int t = 0; t < kTokens; ++t) token(t)[parts.place + t] = 1;
  for (int t = 0; t < kVideoTokens; ++t) {
    std::copy_n(row.video + t * channels, channels, token(t) + parts.latents);
    std::copy_n(row.estimate + t * channels, channels, token(t) + parts.estimate);
    std::copy_n(row.columns + t % kLatentSide * features, features, token(t) + parts.rays);
  }
  std::copy_n(row.audio, config_.audio_channels, token(kAudioToken) + parts.audio);
  std::copy_n(facts, Dit::FactsSize(config_), token(kStateToken) + parts.facts);
}

void GpuDit::Fill(absl::Span<const PassRow> rows, char* inputs) const {
  const int window = config_.dit.window;
  auto* tokens = ArrayAt<float>(inputs, inputs_.tokens);
  auto* facts = ArrayAt<float>(inputs, inputs_.facts);
  for (const PassRow& row : rows) {
    dit_.Describe(row, facts);
    FillTokens(row, facts, tokens);
    facts += inputs_.facts_width;
    tokens += int64_t{kTokens} * inputs_.token_width;
    const int place = row.ring.valid(window) * kTokens;
    ArrayAt<int64_t>(inputs, inputs_.positions)[row.slot] = row.frame;
    ArrayAt<int32_t>(inputs, inputs_.places)[row.slot] = place;
    ArrayAt<int32_t>(inputs, inputs_.kept)[row.slot] = row.ring.next(window) * kTokens;
    ArrayAt<int32_t>(inputs, inputs_.lengths)[row.slot] = place + kTokens;
  }
}

absl::StatusOr<Ticket> GpuDit::Submit(GpuStage* stage, absl::Span<const PassRow> rows) {
  absl::StatusOr<char*> inputs = stage->Inputs();
  if (!inputs.ok()) return inputs.status();
  if (rows.size() > static_cast<size_t>(size_.max_batch)) return stage->Submit({});
  Fill(rows, *inputs);
  std::vector<int32_t> slots;
  for (const PassRow& row : rows) slots.push_back(row.slot);
  return stage->Submit(slots);
}

absl::StatusOr<Ticket> GpuDit::Denoise(absl::Span<const PassRow> rows) {
  return Submit(denoise_.get(), rows);
}
absl::StatusOr<Ticket> GpuDit::Commit(absl::Span<const PassRow> rows) {
  return Submit(commit_.get(), rows);
}

// --- Body

absl::Status GpuDit::Modulate(const GpuStage::Step& step, const float* gate,
                              const float* shift) const {
  const int width = config_.dit.width;
  return cuda::OfNumber(size_.number, [&]<typename T>(T) {
    const cuda::ModulateStep<T> modulate = {
        .x = x_.get(),
        .branch = gate == nullptr ? nullptr : ArrayAt<T>(branch_.get(), 0),
        .gate = gate,
        .scale = shift + width,
        .shift = shift,
        .stride = 6 * width,
        .slots = step.slots,
        .y = ArrayAt<T>(normed_.get(), 0),
        .epsilon = static_cast<float>(config_.norm_epsilon),
        .rows = step.rows,
        .tokens = kTokens,
        .width = width};
    return gpu_->Call(cuda::KernelsOf<T>(gpu_->plugin()).modulate, Queue::kSteps, &modulate);
  });
}

absl::Status GpuDit::Heads(const Block& block, const GpuStage::Step& step, int64_t places) const {
  const int heads = config_.dit.heads;
  return cuda::OfNumber(size_.number, [&]<typename T>(T) {
    const cuda::HeadsStep<T> split = {.qkv = ArrayAt<T>(qkv_.get(), 0),
                                      .query_gain = block.query_gain.get(),
                                      .key_gain = block.key_gain.get(),
                                      .frequencies = frequencies_.get(),
                                      .offsets = offsets_.get(),
                                      .slots = step.slots,
                                      .positions = ArrayAt<int64_t>(step.inputs, inputs_.positions),
                                      .places = ArrayAt<int32_t>(step.inputs, places),
                                      .keys = ArrayAt<T>(block.keys.get(), 0),
                                      .values = ArrayAt<T>(block.values.get(), 0),
                                      .epsilon = static_cast<float>(config_.norm_epsilon),
                                      .interleaved = false,
                                      .rows = step.rows,
                                      .tokens = kTokens,
                                      .heads = heads,
                                      .kv_heads = heads,
                                      .head_dim = kHeadDim,
                                      .capacity = capacity_};
    return gpu_->Call(cuda::KernelsOf<T>(gpu_->plugin()).heads, Queue::kSteps, &split);
  });
}

absl::Status GpuDit::Attend(const Block& block, const GpuStage::Step& step) const {
  const int heads = config_.dit.heads;
  return cuda::OfNumber(size_.number, [&]<typename T>(T) {
    const cuda::AttendStep<T> attend = {.queries = ArrayAt<T>(qkv_.get(), 0),
                                        .query_stride = 3 * heads * kHeadDim,
                                        .keys = ArrayAt<T>(block.keys.get(), 0),
                                        .values = ArrayAt<T>(block.values.get(), 0),
                                        .slots = step.slots,
                                        .lengths = ArrayAt<int32_t>(step.inputs, inputs_.lengths),
                                        .extremes = extremes_.get(),
                                        .partials = partials_.get(),
                                        .out = ArrayAt<T>(attended_.get(), 0),
                                        .scale = 1 / std::sqrt(static_cast<float>(kHeadDim)),
                                        .rows = step.rows,
                                        .tokens = kTokens,
                                        .heads = heads,
                                        .kv_heads = heads,
                                        .head_dim = kHeadDim,
                                        .capacity = capacity_,
                                        .splits = 1};
    return gpu_->Call(cuda::KernelsOf<T>(gpu_->plugin()).attend, Queue::kSteps, &attend);
  });
}

absl::Status GpuDit::Layer(int index, const GpuStage::Step& step, bool commit) const {
  const Block& block = blocks_[index];
  const DitConfig& d = config_.dit;
  const int rows = step.rows * kTokens, width = d.width;
  const float* before = index == 0 ? nullptr : blocks_[index - 1].modulated.get() + 5 * width;
  const float* modulated = block.modulated.get();
  absl::Status status = Modulate(step, before, modulated);
  status.Update(block.qkv.Forward(Queue::kSteps, normed_.get(), rows, qkv_.get()));
  // Of the last layer of a commit only keys and values are wanted, where they stay.
  if (commit && index + 1 == d.layers) {
    status.Update(Heads(block, step, inputs_.kept));
    return status;
  }
  status.Update(Heads(block, step, inputs_.places));
  status.Update(Attend(block, step));
  // Now that the oldest frame has been seen, this one takes its place. The queries turn once more,
  // but nobody needs them.
  if (commit) status.Update(Heads(block, step, inputs_.kept));
  status.Update(block.out.Forward(Queue::kSteps, attended_.get(), rows, branch_.get()));
  status.Update(Modulate(step, modulated + 2 * width, modulated + 3 * width));
  status.Update(block.up.Forward(Queue::kSteps, normed_.get(), rows, mlp_.get()));
  status.Update(block.down.Forward(Queue::kSteps, mlp_.get(), rows, branch_.get()));
  return status;
}

absl::Status GpuDit::Condition(const GpuStage::Step& step) const {
  const char *facts = step.inputs + inputs_.facts, *tokens = step.inputs + inputs_.tokens;
  absl::Status status = condition_in_.Forward(Queue::kSteps, facts, step.rows, hidden_.get());
  status.Update(condition_out_.Forward(Queue::kSteps, hidden_.get(), step.rows, condition_.get()));
  status.Update(embed_.Forward(Queue::kSteps, tokens, step.rows * kTokens, x_.get()));
  for (const Block& block : blocks_) {
    status.Update(block.modulation.Forward(Queue::kSteps, condition_.get(), step.rows,
                                           block.modulated.get()));
  }
  return status;
}

absl::Status GpuDit::Body(const GpuStage::Step& step, bool commit) const {
  const int width = config_.dit.width, layers = config_.dit.layers;
  absl::Status status = Condition(step);
  for (int i = 0; i < layers && status.ok(); ++i) status = Layer(i, step, commit);
  if (commit || !status.ok()) return status;
  auto* out = ArrayAt<float>(step.results, 0);
  float* notes = out + int64_t{size_.max_batch} * kTokens * Padded(OutParts(config_).width);
  status = final_.Forward(Queue::kSteps, condition_.get(), step.rows, final_modulated_.get());
  status.Update(
      Modulate(step, blocks_[layers - 1].modulated.get() + 5 * width, final_modulated_.get()));
  status.Update(out_.Forward(Queue::kSteps, normed_.get(), step.rows * kTokens, out));
  status.Update(note_past_.Forward(Queue::kSteps, step.inputs + inputs_.facts, step.rows, notes));
  return status;
}

// --- Read

absl::Status GpuDit::FinishDenoise(Ticket ticket, absl::Span<const PassRow> rows) {
  absl::StatusOr<const char*> results = denoise_->Wait(ticket);
  if (!results.ok()) return results.status();
  const OutParts parts(config_);
  const int stride = Padded(parts.width), channels = config_.latent_channels;
  const auto* out = ArrayAt<float>(*results, 0);
  const float* notes = out + int64_t{size_.max_batch} * kTokens * stride;
  for (const PassRow& row : rows) {
    for (int t = 0; t < kVideoTokens; ++t) {
      for (int i = 0; i < channels; ++i) {
        row.video_out[t * channels + i] = row.estimate[t * channels + i] + out[t * stride + i];
      }
    }
    std::copy_n(out + kAudioToken * stride + parts.audio, config_.audio_channels, row.audio_out);
    const float* note = out + kStateToken * stride + parts.note;
    for (int i = 0; i < kNoteSize; ++i) (*row.note_out)[i] = note[i] + notes[i];
    out += int64_t{kTokens} * stride;
    notes += Padded(kNoteSize);
  }
  return absl::OkStatus();
}

absl::Status GpuDit::FinishCommit(Ticket ticket) { return commit_->Wait(ticket).status(); }

}  // namespace firstbyte::state_dit

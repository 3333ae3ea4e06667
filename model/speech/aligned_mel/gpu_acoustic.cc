#include "model/speech/aligned_mel/gpu_acoustic.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"

namespace firstbyte::aligned_mel {
namespace {

using cuda::ArrayAt;
using cuda::GpuLinear;
using cuda::GpuStage;
using cuda::Padded;
using cuda::Queue;
using cuda::Take;
using kernels::kHeadDim;

static_assert(Padded(kFrameFeatures) == kFrameFeatures);

}  // namespace

GpuAcoustic::Inputs::Inputs(const Conditioner& conditioner, const Size& size)
    : mel_width(Padded(conditioner.inputs())) {
  constexpr int64_t kUnit = 16;
  int64_t end = 0;
  const auto place = [&end](int64_t length) {
    return std::exchange(end, end + (length + kUnit - 1) / kUnit * kUnit);
  };
  positions = place(int64_t{8} * size.slots);
  places = place(int64_t{4} * size.slots);
  lengths = place(int64_t{4} * size.slots);
  feedback = place(int64_t{4} * size.max_batch * kFrameFeatures);
  mels = place(int64_t{4} * size.max_batch * kStack * mel_width);
  bytes = end;
}

absl::StatusOr<std::unique_ptr<GpuAcoustic>> GpuAcoustic::Create(cuda::Gpu* gpu,
                                                                 const AcousticConfig& config,
                                                                 const Conditioner& conditioner,
                                                                 nn::WeightLoader* weights,
                                                                 const Size& size) {
  if (config.second_condition_size % cuda::kRowUnit != 0) {
    return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
                 "on a GPU the widths of a voice must be multiples of 8");
  }
  std::unique_ptr<GpuAcoustic> made(new GpuAcoustic(gpu, config, conditioner, size));
  absl::Status status = made->LoadBlocks(weights);
  if (status.ok()) status = made->Load(weights);
  if (status.ok()) status = made->Allocate();
  if (status.ok()) status = made->OpenStage();
  if (!status.ok()) return status;
  return made;
}

GpuAcoustic::GpuAcoustic(cuda::Gpu* gpu, const AcousticConfig& config,
                         const Conditioner& conditioner, const Size& size)
    : gpu_(gpu),
      config_(config),
      conditioner_(conditioner),
      size_(size),
      inputs_(conditioner, size) {}

// --- Load

absl::Status GpuAcoustic::Load(nn::WeightLoader* weights) {
  const AcousticConfig& c = config_;
  const int n = size_.max_batch, hidden = c.hidden_size;
  constexpr auto kSilu = cuda::Activation::kSilu;
  absl::Status status;
  const auto load = [&](const std::string& name, nn::Bias bias, GpuLinear::Shape shape,
                        GpuLinear* linear) {
    shape.number = cuda::OnFloats(size_.number);
    const auto weight = weights->LoadTensor(name + ".weight", {shape.n, shape.k});
    std::vector<float> offset;
    if (bias == nn::Bias::kYes) offset = weights->LoadVector(name + ".bias", shape.n);
    status.Update(weights->status());
    if (status.ok()) status = Take(GpuLinear::Create(gpu_, shape, weight, offset), linear);
  };
  const std::string p = "acoustic.conditioner.";
  load(p + "in_proj", nn::Bias::kYes,
       {.n = c.first_condition_size,
        .k = conditioner_.inputs(),
        .activation = kSilu,
        .most_rows = n * kStack},
       &first_);
  load(p + "mid_proj", nn::Bias::kYes,
       {.n = c.second_condition_size,
        .k = c.first_condition_size,
        .activation = kSilu,
        .most_rows = n * kStack},
       &second_);
  load(p + "out_proj", nn::Bias::kYes,
       {.n = hidden, .k = kStack * c.second_condition_size, .most_rows = n}, &condition_);
  load("acoustic.feedback_down", nn::Bias::kYes,
       {.n = c.feedback_size, .k = kFrameFeatures, .activation = kSilu, .most_rows = n},
       &feedback_down_);
  load("acoustic.feedback_up", nn::Bias::kNo,
       {.n = hidden, .k = c.feedback_size, .add = true, .most_rows = n}, &feedback_up_);
  const auto weight = weights->LoadTensor("acoustic.head.weight", {kFrameFeatures, hidden});
  const auto bias = weights->LoadVector("acoustic.head.bias", kFrameFeatures);
  status.Update(weights->status());
  if (!status.ok()) return status;
  const GpuLinear::Shape head = {
      .n = kFrameFeatures, .k = hidden, .number = size_.number, .wide = true, .most_rows = n};
  return Take(GpuLinear::Create(gpu_, head, weight, bias), &head_);
}

absl::Status GpuAcoustic::Allocate() {
  const int64_t n = size_.max_batch, mels = n * kStack;
  absl::Status status =
      Take(gpu_->NewArray<float>(mels * Padded(config_.first_condition_size)), &firsts_);
  status.Update(Take(gpu_->NewArray<float>(mels * config_.second_condition_size), &seconds_));
  status.Update(Take(gpu_->NewArray<float>(n * Padded(config_.feedback_size)), &feedback_));
  return status;
}

absl::StatusOr<cuda::LlamaBlockWeights> GpuAcoustic::LoadBlock(int index,
                                                               nn::WeightLoader* weights) const {
  const std::string p = "acoustic.layers." + std::to_string(index) + ".";
  const int hidden = config_.hidden_size, inner = config_.num_attention_heads * kHeadDim;
  const int mlp = config_.intermediate_size;
  cuda::LlamaBlockWeights block;
  const auto append = [&](const std::string& name, int n, int k, std::vector<float>* to) {
    const std::vector<float> weight = weights->LoadTensor(p + name + ".weight", {n, k});
    to->insert(to->end(), weight.begin(), weight.end());
  };
  block.attention_gain = weights->LoadVector(p + "input_layernorm.weight", hidden);
  for (const char* part : {"q", "k", "v"}) {
    append("self_attn." + std::string(part) + "_proj", inner, hidden, &block.qkv);
  }
  append("self_attn.o_proj", hidden, inner, &block.out);
  block.mlp_gain = weights->LoadVector(p + "post_attention_layernorm.weight", hidden);
  append("mlp.gate_proj", mlp, hidden, &block.gate_up);
  append("mlp.up_proj", mlp, hidden, &block.gate_up);
  append("mlp.down_proj", hidden, mlp, &block.down);
  if (!weights->status().ok()) return weights->status();
  return block;
}

absl::Status GpuAcoustic::LoadBlocks(nn::WeightLoader* weights) {
  if (size_.number == cuda::Number::kBf16) return LoadBlocksOf<cuda::Bf16>(weights);
  if (size_.number == cuda::Number::kF16) return LoadBlocksOf<cuda::F16>(weights);
  return LoadBlocksOf<float>(weights);
}

template <typename T>
absl::Status GpuAcoustic::LoadBlocksOf(nn::WeightLoader* weights) {
  const cuda::LlamaShape shape = {.layers = config_.num_hidden_layers,
                                  .width = config_.hidden_size,
                                  .mlp = config_.intermediate_size,
                                  .heads = config_.num_attention_heads,
                                  .kv_heads = config_.num_attention_heads,
                                  .head_dim = kHeadDim,
                                  .rope_base = config_.rope_theta,
                                  .epsilon = static_cast<float>(config_.rms_norm_eps),
                                  .slots = size_.slots,
                                  .capacity = config_.sliding_window,
                                  .most_rows = size_.max_batch,
                                  .less_precise = size_.number == cuda::Number::kTf32};
  const std::vector<float> gain = weights->LoadVector("acoustic.norm.weight", config_.hidden_size);
  if (!weights->status().ok()) return weights->status();
  auto blocks = cuda::GpuLlama<T>::Create(
      gpu_, shape, [&](int index) { return LoadBlock(index, weights); }, gain);
  if (blocks.ok()) blocks_ = *std::move(blocks);
  return blocks.status();
}

absl::Status GpuAcoustic::OpenStage() {
  const GpuStage::Shape shape = {.mode = size_.mode,
                                 .max_batch = size_.max_batch,
                                 .input_bytes = inputs_.bytes,
                                 .result_bytes = int64_t{4} * size_.max_batch * kFrameFeatures,
                                 .input_row_bytes = int64_t{4} * kStack * inputs_.mel_width,
                                 .result_row_bytes = int64_t{4} * kFrameFeatures};
  return Take(
      GpuStage::Create(gpu_, shape, [this](const GpuStage::Step& step) { return Body(step); }),
      &stage_);
}

// --- Fill and read

void GpuAcoustic::Fill(absl::Span<const Row> rows, char* inputs) const {
  auto* feedback = ArrayAt<float>(inputs, inputs_.feedback);
  auto* mels = ArrayAt<float>(inputs, inputs_.mels);
  for (const Row& row : rows) {
    const FrameRow& frame = row.frame;
    feedback = std::copy_n(frame.feedback, kFrameFeatures, feedback);
    conditioner_.Describe(row.clause, *row.ends, row.stretch, frame.position, 1, inputs_.mel_width,
                          mels);
    mels += kStack * inputs_.mel_width;
    const int window = config_.sliding_window;
    ArrayAt<int64_t>(inputs, inputs_.positions)[frame.slot] = frame.position;
    ArrayAt<int32_t>(inputs, inputs_.places)[frame.slot] = frame.position % window;
    ArrayAt<int32_t>(inputs, inputs_.lengths)[frame.slot] = std::min(frame.position + 1, window);
  }
}

absl::StatusOr<Ticket> GpuAcoustic::Step(absl::Span<const Row> rows) {
  absl::StatusOr<char*> inputs = stage_->Inputs();
  if (!inputs.ok()) return inputs.status();
  if (rows.size() > static_cast<size_t>(size_.max_batch)) return stage_->Submit({});
  Fill(rows, *inputs);
  std::vector<int32_t> slots;
  for (const Row& row : rows) slots.push_back(row.frame.slot);
  return stage_->Submit(slots);
}

absl::Status GpuAcoustic::Finish(Ticket ticket, absl::Span<const Row> rows) {
  absl::StatusOr<const char*> results = stage_->Wait(ticket);
  if (!results.ok()) return results.status();
  const auto* features = ArrayAt<float>(*results, 0);
  for (const Row& row : rows) {
    std::copy_n(features, kFrameFeatures, row.frame.out);
    features += kFrameFeatures;
  }
  return absl::OkStatus();
}

// --- Body

absl::Status GpuAcoustic::Body(const GpuStage::Step& step) const {
  constexpr auto kQueue = Queue::kSteps;
  const int rows = step.rows;
  absl::Status status =
      first_.Forward(kQueue, step.inputs + inputs_.mels, rows * kStack, firsts_.get());
  status.Update(second_.Forward(kQueue, firsts_.get(), rows * kStack, seconds_.get()));
  // Four mel frames of the second lie together: they are one row of the last layer.
  status.Update(condition_.Forward(kQueue, seconds_.get(), rows, x()));
  status.Update(
      feedback_down_.Forward(kQueue, step.inputs + inputs_.feedback, rows, feedback_.get()));
  status.Update(feedback_up_.Forward(kQueue, feedback_.get(), rows, x()));
  status.Update(RunBlocks(step));
  return status;
}

float* GpuAcoustic::x() const {
  return std::visit([](const auto& blocks) { return blocks->x(); }, blocks_);
}

absl::Status GpuAcoustic::RunBlocks(const GpuStage::Step& step) const {
  return std::visit(
      [&](const auto& blocks) {
        absl::Status status = blocks->Forward(
            Queue::kSteps, {.rows = step.rows,
                            .slots = step.slots,
                            .positions = ArrayAt<int64_t>(step.inputs, inputs_.positions),
                            .places = ArrayAt<int32_t>(step.inputs, inputs_.places),
                            .lengths = ArrayAt<int32_t>(step.inputs, inputs_.lengths)});
        status.Update(head_.Forward(Queue::kSteps, blocks->normed(), step.rows, step.results));
        return status;
      },
      blocks_);
}

}  // namespace firstbyte::aligned_mel

#include "model/world/state_dit/gpu_decoder.h"

#include <algorithm>
#include <utility>

namespace firstbyte::state_dit {
namespace {

using cuda::ArrayAt;
using cuda::GpuConv3x3;
using cuda::GpuLinear;
using cuda::GpuStage;
using cuda::Padded;
using cuda::Take;

constexpr auto kQueue = cuda::Queue::kMedia;
constexpr int kPatchSize = kPatch * kPatch * 3;

}  // namespace

absl::StatusOr<std::unique_ptr<GpuDecoder>> GpuDecoder::Create(cuda::Gpu* gpu, const Config& config,
                                                               nn::WeightLoader* weights,
                                                               const Size& size) {
  std::unique_ptr<GpuDecoder> made(new GpuDecoder(gpu, config, weights, size));
  absl::Status status = made->Allocate();
  if (status.ok()) status = made->Load(weights);
  if (status.ok()) status = made->OpenStage();
  if (!status.ok()) return status;
  return made;
}

GpuDecoder::GpuDecoder(cuda::Gpu* gpu, const Config& config, nn::WeightLoader* weights,
                       const Size& size)
    : gpu_(gpu),
      size_(size),
      latent_channels_(config.latent_channels),
      whitening_(config, weights),
      at4_{4, config.decoder[0]},
      at8_{8, config.decoder[1]},
      at16_{16, config.decoder[2]} {}

// --- Load

absl::Status GpuDecoder::LoadConv(nn::WeightLoader* weights, const std::string& name, int shuffle,
                                  GpuConv3x3::Shape shape, GpuConv3x3* conv) const {
  shape.number = size_.number;
  const auto layer = weights->LoadShuffled(name, {shape.n, shape.channels, 3, 3}, shuffle);
  if (!weights->status().ok()) return weights->status();
  return Take(GpuConv3x3::Create(gpu_, shape, layer.weight, layer.bias), conv);
}

absl::Status GpuDecoder::LoadUp(nn::WeightLoader* weights, const std::string& name,
                                const Level& from, const Level& to, GpuLinear* up) const {
  const int n = 4 * to.channels, k = from.channels;
  const auto layer = weights->LoadShuffled(name, {n, k, 1, 1}, /*shuffle=*/2);
  if (!weights->status().ok()) return weights->status();
  const GpuLinear::Shape shape = {
      .n = n, .k = k, .number = size_.number, .most_rows = size_.max_batch * from.side * from.side};
  return Take(GpuLinear::Create(gpu_, shape, layer.weight, layer.bias), up);
}

absl::Status GpuDecoder::LoadBlock(nn::WeightLoader* weights, const std::string& name,
                                   const Level& level, Block* block) const {
  const int channels = level.channels;
  const auto gain = weights->LoadVector(name + ".norm.weight", channels);
  const auto bias = weights->LoadVector(name + ".norm.bias", channels);
  if (!weights->status().ok()) return weights->status();
  GpuConv3x3::Shape shape = {.n = channels,
                             .channels = channels,
                             .activation = cuda::Activation::kSilu,
                             .most_pixels = size_.max_batch * level.side * level.side};
  absl::Status status = Take(cuda::GpuMapNorm::Create(gpu_, kMapEpsilon, gain, bias), &block->norm);
  status.Update(LoadConv(weights, name + ".conv1", 1, shape, &block->conv1));
  shape.activation = cuda::Activation::kNone;
  shape.add = true;
  status.Update(LoadConv(weights, name + ".conv2", 1, shape, &block->conv2));
  return status;
}

absl::Status GpuDecoder::Load(nn::WeightLoader* weights) {
  const std::string p = "autoencoder.decoder.";
  const auto pixels = [this](const Level& level) {
    return size_.max_batch * level.side * level.side;
  };
  absl::Status status = LoadConv(
      weights, p + "conv_in", 1,
      {.n = at4_.channels, .channels = latent_channels_, .most_pixels = pixels(at4_)}, &in_);
  status.Update(LoadBlock(weights, p + "block4", at4_, &block4_));
  status.Update(LoadUp(weights, p + "up8", at4_, at8_, &up8_));
  status.Update(LoadBlock(weights, p + "block8a", at8_, &block8a_));
  status.Update(LoadBlock(weights, p + "block8b", at8_, &block8b_));
  status.Update(LoadUp(weights, p + "up16", at8_, at16_, &up16_));
  status.Update(LoadBlock(weights, p + "block16a", at16_, &block16a_));
  status.Update(LoadBlock(weights, p + "block16b", at16_, &block16b_));
  status.Update(
      LoadConv(weights, p + "conv_out", kPatch,
               {.n = kPatchSize, .channels = at16_.channels, .most_pixels = pixels(at16_)}, &out_));
  return status;
}

absl::Status GpuDecoder::Allocate() {
  absl::Status status;
  int64_t taps = GpuConv3x3::TapFloats(latent_channels_, at4_.side * at4_.side), packed = 0;
  for (Level* level : {&at4_, &at8_, &at16_}) {
    const int64_t pixels = level->side * level->side, size = pixels * Padded(level->channels);
    for (auto* array : {&level->x, &level->normed, &level->hidden}) {
      status.Update(Take(gpu_->NewArray<float>(size * size_.max_batch), array));
    }
    taps = std::max(taps, GpuConv3x3::TapFloats(level->channels, pixels));
    // A level is shuffled from a quarter of its pixels, the picture from all of the last.
    packed = std::max(packed, pixels / 4 * Padded(4 * level->channels));
    packed = std::max(packed, pixels * kPatchSize);
  }
  status.Update(Take(gpu_->NewArray<float>(taps * size_.max_batch), &taps_));
  status.Update(Take(gpu_->NewArray<float>(packed * size_.max_batch), &packed_));
  return status;
}

absl::Status GpuDecoder::OpenStage() {
  const int64_t latents = int64_t{kVideoTokens} * Padded(latent_channels_);
  const GpuStage::Shape shape = {.queue = kQueue,
                                 .mode = size_.mode,
                                 .max_batch = size_.max_batch,
                                 .input_bytes = 4 * latents * size_.max_batch,
                                 .result_bytes = 4 * kPixels * size_.max_batch,
                                 .input_row_bytes = 4 * latents,
                                 .result_row_bytes = 4 * kPixels};
  return Take(
      GpuStage::Create(gpu_, shape, [this](const GpuStage::Step& step) { return Body(step); }),
      &stage_);
}

// --- Fill and read

void GpuDecoder::Fill(absl::Span<const Picture> pictures, char* inputs) const {
  auto* to = ArrayAt<float>(inputs, 0);
  for (const Picture& picture : pictures) {
    const float* from = picture.latents;
    for (int token = 0; token < kVideoTokens; ++token, to += Padded(latent_channels_)) {
      for (int c = 0; c < latent_channels_; ++c) {
        to[c] = *from++ * whitening_.std[c] + whitening_.mean[c];
      }
    }
  }
}

absl::StatusOr<Ticket> GpuDecoder::Decode(absl::Span<const Picture> pictures) {
  absl::StatusOr<char*> inputs = stage_->Inputs();
  if (!inputs.ok()) return inputs.status();
  if (pictures.size() > static_cast<size_t>(size_.max_batch)) return stage_->Submit({});
  Fill(pictures, *inputs);
  std::vector<int32_t> slots;
  for (const Picture& picture : pictures) slots.push_back(picture.slot);
  return stage_->Submit(slots);
}

absl::Status GpuDecoder::Finish(Ticket ticket, absl::Span<const Picture> pictures) {
  absl::StatusOr<const char*> results = stage_->Wait(ticket);
  if (!results.ok()) return results.status();
  const auto* from = ArrayAt<float>(*results, 0);
  for (const Picture& picture : pictures) {
    std::copy_n(from, kPixels, picture.pixels);
    from += kPixels;
  }
  return absl::OkStatus();
}

// --- Body

absl::Status GpuDecoder::Run(const Block& block, const GpuStage::Step& step, Level* level) {
  const cuda::Maps maps = {step.slots, step.rows, level->side, level->side};
  float *x = level->x.get(), *normed = level->normed.get(), *hidden = level->hidden.get();
  absl::Status status = block.norm.Forward(kQueue, maps, x, normed);
  status.Update(block.conv1.Forward(kQueue, maps, normed, taps_.get(), hidden));
  status.Update(block.conv2.Forward(kQueue, maps, hidden, taps_.get(), x));
  return status;
}

absl::Status GpuDecoder::Shuffle(const GpuStage::Step& step,
                                 const cuda::ShuffleStep<float>& shuffle) {
  cuda::ShuffleStep<float> own = shuffle;
  own.x = packed_.get();
  own.slots = step.slots;
  own.rows = step.rows;
  own.x_stride = Padded(own.ratio * own.ratio * own.channels);
  return gpu_->Call(gpu_->plugin().f32.shuffle, kQueue, &own);
}

absl::Status GpuDecoder::Up(const GpuLinear& up, const GpuStage::Step& step, const Level& from,
                            Level* to) {
  absl::Status status =
      up.Forward(kQueue, from.x.get(), step.rows * from.side * from.side, packed_.get());
  status.Update(Shuffle(step, {.y = to->x.get(),
                               .height = from.side,
                               .width = from.side,
                               .ratio = 2,
                               .channels = to->channels,
                               .y_stride = Padded(to->channels)}));
  return status;
}

absl::Status GpuDecoder::Body(const GpuStage::Step& step) {
  const cuda::Maps small = {step.slots, step.rows, at4_.side, at4_.side};
  const cuda::Maps large = {step.slots, step.rows, at16_.side, at16_.side};
  absl::Status status =
      in_.Forward(kQueue, small, ArrayAt<float>(step.inputs, 0), taps_.get(), at4_.x.get());
  status.Update(Run(block4_, step, &at4_));
  status.Update(Up(up8_, step, at4_, &at8_));
  status.Update(Run(block8a_, step, &at8_));
  status.Update(Run(block8b_, step, &at8_));
  status.Update(Up(up16_, step, at8_, &at16_));
  status.Update(Run(block16a_, step, &at16_));
  status.Update(Run(block16b_, step, &at16_));
  const cuda::ActivateStep<float> silu = {at16_.x.get(), Padded(at16_.channels),
                                          step.rows * large.pixels(), at16_.channels,
                                          cuda::Activation::kSilu};
  status.Update(gpu_->Call(gpu_->plugin().f32.activate, kQueue, &silu));
  status.Update(out_.Forward(kQueue, large, at16_.x.get(), taps_.get(), packed_.get()));
  // The network's pixels are around zero.
  status.Update(Shuffle(step, {.y = ArrayAt<float>(step.results, 0),
                               .add = 0.5f,
                               .height = at16_.side,
                               .width = at16_.side,
                               .ratio = kPatch,
                               .channels = 3,
                               .y_stride = 3}));
  return status;
}

}  // namespace firstbyte::state_dit

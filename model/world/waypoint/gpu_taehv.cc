#include "model/world/waypoint/gpu_taehv.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/world/waypoint/gpu_copy.h"
#include "model/world/waypoint/ops.h"
#include "model/world/waypoint/taehv.h"

namespace firstbyte::waypoint {

using cuda::ArrayAt;
using cuda::GpuConv3x3;
using cuda::GpuLinear;
using cuda::GpuStage;
using cuda::Padded;
using cuda::Take;

namespace {

constexpr auto kQueue = cuda::Queue::kMedia;
constexpr auto kRelu = cuda::Activation::kRelu;

}  // namespace

// --- Load

template <typename T>
absl::StatusOr<std::unique_ptr<GpuTaehv<T>>> GpuTaehv<T>::Create(cuda::Gpu* gpu,
                                                                 const Config& config,
                                                                 const SafeTensors& file,
                                                                 nn::WeightLoader* weights,
                                                                 const GpuSize& size) {
  std::unique_ptr<GpuTaehv> made(new GpuTaehv(gpu, config, size));
  absl::Status status = made->Load(file, weights);
  if (status.ok()) status = made->Allocate();
  if (status.ok()) status = made->OpenStages();
  if (!status.ok()) return status;
  return made;
}

template <typename T>
GpuTaehv<T>::GpuTaehv(cuda::Gpu* gpu, const Config& config, const GpuSize& size)
    : gpu_(gpu),
      kernels_(cuda::KernelsOf<T>(gpu->plugin())),
      config_(config),
      size_(size),
      clamped_(config.latent_size()) {}

template <typename T>
cuda::Number GpuTaehv<T>::number() const {
  if constexpr (std::is_same_v<T, cuda::Bf16>) return cuda::Number::kBf16;
  return size_.less_precise ? cuda::Number::kTf32 : cuda::Number::kF32;
}

template <typename T>
absl::Status GpuTaehv<T>::LoadConv(nn::WeightLoader* weights, const std::string& name,
                                   nn::Bias bias, GpuConv3x3::Shape shape, GpuConv3x3* conv) const {
  shape.number = number();
  const std::vector<float> weight =
      weights->LoadTensor(name + ".weight", {shape.n, shape.channels, 3, 3});
  std::vector<float> offsets;
  if (bias == nn::Bias::kYes) offsets = weights->LoadVector(name + ".bias", shape.n);
  if (!weights->status().ok()) return weights->status();
  return Take(GpuConv3x3::Create(gpu_, shape, weight, offsets), conv);
}

// Its pixels hold patches, whose channels come last here.
template <typename T>
absl::Status GpuTaehv<T>::LoadOut(nn::WeightLoader* weights) {
  const Level& last = levels_[kDecoderStages];
  const auto layer = weights->LoadShuffled(DecoderLayer(kDecoderOut),
                                           {kPatchChannels, last.channels, 3, 3}, kPatch);
  if (!weights->status().ok()) return weights->status();
  const GpuConv3x3::Shape shape = {.n = kPatchChannels,
                                   .channels = last.channels,
                                   .number = number(),
                                   .most_pixels = size_.max_batch * last.pixels()};
  return Take(GpuConv3x3::Create(gpu_, shape, layer.weight, layer.bias), &out_);
}

template <typename T>
absl::Status GpuTaehv<T>::LoadStage(int index, const SafeTensors& file, nn::WeightLoader* weights) {
  Stage& stage = stages_[index];
  const Level &level = levels_[index], &next = levels_[index + 1];
  const int n = level.channels, pixels = size_.max_batch * level.pixels();
  const int first = FirstOfStage(index), grown = kDecoderStrides[index] * n;
  absl::Status status;
  for (int i = 0; i < 3; ++i) {
    const std::string name = DecoderLayer(first + i) + ".conv.";
    GpuConv3x3::Shape shape = {
        .n = n, .channels = 2 * n, .activation = kRelu, .most_pixels = pixels};
    GpuConv3x3* convs = stage.blocks[i].convs;
    status.Update(LoadConv(weights, name + "0", nn::Bias::kYes, shape, &convs[0]));
    shape.channels = n;
    status.Update(LoadConv(weights, name + "2", nn::Bias::kYes, shape, &convs[1]));
    shape.activation = cuda::Activation::kNone;
    shape.add = true;
    status.Update(LoadConv(weights, name + "4", nn::Bias::kYes, shape, &convs[2]));
  }
  const std::vector<float> grow = LoadGrow(index, n, file, weights);
  if (!weights->status().ok()) return weights->status();
  status.Update(
      Take(GpuLinear::Create(gpu_, {.n = grown, .k = n, .number = number(), .most_rows = pixels},
                             grow, {}),
           &stage.grow));
  const bool last = index + 1 == kDecoderStages;
  status.Update(LoadConv(weights, DecoderLayer(first + 5), nn::Bias::kNo,
                         {.n = next.channels,
                          .channels = n,
                          .activation = last ? kRelu : cuda::Activation::kNone,
                          .most_pixels = size_.max_batch * next.pixels()},
                         &stage.conv));
  return status;
}

template <typename T>
absl::Status GpuTaehv<T>::Load(const SafeTensors& file, nn::WeightLoader* weights) {
  const auto widths = DecoderWidths(file, weights);
  if (!weights->status().ok()) return weights->status();
  for (int s = 0; s <= kDecoderStages; ++s) {
    levels_[s].height = config_.latent_height() << s;
    levels_[s].width = config_.latent_width() << s;
    levels_[s].channels = widths[s];
  }
  absl::Status status = LoadConv(weights, DecoderLayer(kDecoderIn), nn::Bias::kYes,
                                 {.n = widths[0],
                                  .channels = config_.channels,
                                  .activation = kRelu,
                                  .most_pixels = size_.max_batch * levels_[0].pixels()},
                                 &in_);
  for (int s = 0; s < kDecoderStages && status.ok(); ++s) status = LoadStage(s, file, weights);
  if (status.ok()) status = LoadOut(weights);
  return status;
}

template <typename T>
absl::Status GpuTaehv<T>::Allocate() {
  const int64_t n = size_.max_batch;
  absl::Status status = Take(gpu_->NewArray<int64_t>(size_.slots), &places_);
  int64_t taps = GpuConv3x3::TapFloats(config_.channels, levels_[0].pixels());
  const auto make = [&](cuda::DeviceArray<T>* array, int64_t count) {
    status.Update(Take(gpu_->NewArray<T>(count), array));
  };
  for (int s = 0; s <= kDecoderStages; ++s) {
    Level& level = levels_[s];
    const bool last = s == kDecoderStages;
    const int grown = last ? kPatchChannels : kDecoderStrides[s] * level.channels;
    make(&level.x, n * level.floats());
    make(&level.packed, n * level.pixels() * Padded(grown));
    const int most =
        std::max(last ? level.channels : 2 * level.channels, s > 0 ? levels_[s - 1].channels : 0);
    taps = std::max(taps, GpuConv3x3::TapFloats(most, level.pixels()));
    if (last) break;
    make(&level.hidden, n * level.floats());
    make(&level.other, n * level.floats());
    for (MemoryBlock& block : stages_[s].blocks) make(&block.history, size_.slots * level.floats());
  }
  make(&taps_, n * taps);
  return status;
}

template <typename T>
absl::Status GpuTaehv<T>::OpenStages() {
  const int64_t latents = int64_t{levels_[0].pixels()} * Padded(config_.channels);
  GpuStage::Shape shape = {
      .queue = kQueue,
      .mode = size_.mode,
      .max_batch = size_.max_batch,
      .input_bytes = static_cast<int64_t>(sizeof(T)) * latents * size_.max_batch,
      .result_bytes = picture_bytes() * size_.max_batch,
      .input_row_bytes = static_cast<int64_t>(sizeof(T)) * latents,
      .result_row_bytes = picture_bytes()};
  const auto open = [&](bool prime) {
    return GpuStage::Create(gpu_, shape,
                            [this, prime](const Step& step) { return Body(step, prime); });
  };
  absl::Status status = Take(open(false), &show_);
  shape.result_bytes = 16;  // there are none
  shape.result_row_bytes = 0;
  if (status.ok()) status = Take(open(true), &prime_);
  return status;
}

template <typename T>
int64_t GpuTaehv<T>::picture_bytes() const {
  return int64_t{kFramesPerLatent} * config_.picture_height() * config_.picture_width() * 3;
}

// --- Fill and read

template <typename T>
void GpuTaehv<T>::Fill(absl::Span<const Feed> feeds, char* inputs) {
  auto* to = ArrayAt<T>(inputs, 0);
  for (const Feed& feed : feeds) {
    SoftClamp(kernels::Kernels(), feed.map, config_.latent_size(), clamped_.data());
    const float* from = clamped_.data();
    for (int pixel = 0; pixel < levels_[0].pixels(); ++pixel, to += Padded(config_.channels)) {
      for (int c = 0; c < config_.channels; ++c) cuda::Store(*from++, to + c);
    }
  }
}

template <typename T>
absl::StatusOr<Ticket> GpuTaehv<T>::Submit(GpuStage* stage, absl::Span<const Feed> feeds) {
  absl::StatusOr<char*> inputs = stage->Inputs();
  if (!inputs.ok()) return inputs.status();
  if (feeds.size() > static_cast<size_t>(size_.max_batch)) return stage->Submit({});
  Fill(feeds, *inputs);
  std::vector<int32_t> slots;
  for (const Feed& feed : feeds) slots.push_back(feed.slot);
  return stage->Submit(slots);
}

template <typename T>
absl::StatusOr<Ticket> GpuTaehv<T>::Prime(absl::Span<const Feed> feeds) {
  return Submit(prime_.get(), feeds);
}
template <typename T>
absl::StatusOr<Ticket> GpuTaehv<T>::Show(absl::Span<const Feed> feeds) {
  return Submit(show_.get(), feeds);
}

template <typename T>
absl::Status GpuTaehv<T>::FinishPrime(Ticket ticket) {
  return prime_->Wait(ticket).status();
}
template <typename T>
absl::StatusOr<const uint8_t*> GpuTaehv<T>::FinishShow(Ticket ticket) {
  absl::StatusOr<const char*> results = show_->Wait(ticket);
  if (!results.ok()) return results.status();
  return ArrayAt<uint8_t>(*results, 0);
}

// Calls f(a block's history of the slot on the device, how many elements, pixels, channels).
template <typename Levels, typename Stages, typename Function>
void ForEachHistory(int slot, const Levels& levels, const Stages& stages, Function f) {
  for (int s = 0; s < kDecoderStages; ++s) {
    for (const auto& block : stages[s].blocks) {
      f(block.history.get() + slot * levels[s].floats(), levels[s].floats(), levels[s].channels);
    }
  }
}

template <typename T>
absl::Status GpuTaehv<T>::SaveHistory(int slot, std::vector<float>* history) const {
  absl::Status status;
  history->clear();
  ForEachHistory(slot, levels_, stages_, [&](const T* from, int64_t count, int channels) {
    std::vector<float> padded(count);
    status.Update(CopyFrom(gpu_, from, count, padded.data()));
    for (auto pixel = padded.begin(); pixel != padded.end(); pixel += Padded(channels)) {
      history->insert(history->end(), pixel, pixel + channels);
    }
  });
  return status;
}

template <typename T>
absl::Status GpuTaehv<T>::LoadHistory(int slot, const std::vector<float>& history) const {
  absl::Status status;
  auto from = history.begin();
  ForEachHistory(slot, levels_, stages_, [&](T* to, int64_t count, int channels) {
    std::vector<float> padded(count);
    for (auto pixel = padded.begin(); pixel != padded.end(); pixel += Padded(channels)) {
      std::copy_n(from, channels, pixel);
      from += channels;
    }
    status.Update(CopyInto(gpu_, padded.data(), count, to));
  });
  return status;
}

// --- Body

// The block's history becomes `map`, or nothing where a stream begins.
template <typename T>
absl::Status GpuTaehv<T>::Remember(const MemoryBlock& block, const Level& level, const Step& step,
                                   const T* map) const {
  const cuda::RingWriteStep<T> write = {.from = map,
                                        .ring = block.history.get(),
                                        .written = places_.get(),
                                        .slots = step.slots,
                                        .rows = step.rows,
                                        .capacity = 1,
                                        .width = static_cast<int>(level.floats())};
  return gpu_->Call(kernels_.ring_write, kQueue, &write);
}

// x = relu(conv3(relu(conv2(relu(conv1([x, x of the frame before]))))) + x)
template <typename T>
absl::Status GpuTaehv<T>::Run(const MemoryBlock& block, const Level& level,
                              const Step& step) const {
  const cuda::Maps maps = MapsOf(level, step);
  T *x = level.x.get(), *hidden = level.hidden.get(), *other = level.other.get();
  T* taps = taps_.get();
  absl::Status status = block.convs[0].Forward(
      kQueue, maps, cuda::ConvInput<T>{.x = x, .past = block.history.get()}, taps, hidden);
  status.Update(Remember(block, level, step, x));
  status.Update(block.convs[1].Forward(kQueue, maps, hidden, taps, other));
  status.Update(block.convs[2].Forward(kQueue, maps, other, taps, x));
  const cuda::ActivateStep<T> relu = {.y = x,
                                      .stride = Padded(level.channels),
                                      .rows = step.rows * level.pixels(),
                                      .width = level.channels,
                                      .activation = kRelu};
  status.Update(gpu_->Call(kernels_.activate, kQueue, &relu));
  return status;
}

template <typename T>
absl::Status GpuTaehv<T>::ShowLast(const Step& step, int picture) const {
  const Level& last = levels_[kDecoderStages];
  absl::Status status =
      out_.Forward(kQueue, MapsOf(last, step), last.x.get(), taps_.get(), last.packed.get());
  const cuda::PictureStep<T> show = {
      .x = last.packed.get(),
      .slots = step.slots,
      .bytes = ArrayAt<uint8_t>(step.results, picture * (picture_bytes() / kFramesPerLatent)),
      .bytes_stride = picture_bytes(),
      .rows = step.rows,
      .height = last.height,
      .width = last.width,
      .ratio = kPatch,
      .x_stride = Padded(kPatchChannels),
      .to_height = config_.picture_height(),
      .to_width = config_.picture_width()};
  status.Update(gpu_->Call(kernels_.picture, kQueue, &show));
  return status;
}

template <typename T>
absl::Status GpuTaehv<T>::RunStage(int index, const Step& step, bool shown, int picture) const {
  const Stage& stage = stages_[index];
  const Level &level = levels_[index], &next = levels_[index + 1];
  const int parts = kDecoderStrides[index], grown = parts * level.channels;
  const bool last = index + 1 == kDecoderStages;
  absl::Status status;
  for (const MemoryBlock& block : stage.blocks) status.Update(Run(block, level, step));
  if (last && !shown) return status;
  status.Update(
      stage.grow.Forward(kQueue, level.x.get(), step.rows * level.pixels(), level.packed.get()));
  int pictures = 1;  // of a part
  for (int s = index + 1; s < kDecoderStages; ++s) pictures *= kDecoderStrides[s];
  for (int part = 0; part < parts; ++part, picture += pictures) {
    const cuda::ConvInput<T> doubled = {
        .x = level.packed.get() + part * level.channels, .stride = Padded(grown), .scale = 2};
    status.Update(
        stage.conv.Forward(kQueue, MapsOf(next, step), doubled, taps_.get(), next.x.get()));
    status.Update(last ? ShowLast(step, picture) : RunStage(index + 1, step, shown, picture));
    if (!status.ok()) return status;
  }
  return status;
}

template <typename T>
absl::Status GpuTaehv<T>::FeedOnce(const Step& step, bool shown) const {
  absl::Status status = in_.Forward(kQueue, MapsOf(levels_[0], step), ArrayAt<T>(step.inputs, 0),
                                    taps_.get(), levels_[0].x.get());
  status.Update(RunStage(0, step, shown, /*picture=*/0));
  return status;
}

template <typename T>
absl::Status GpuTaehv<T>::Body(const Step& step, bool prime) const {
  if (!prime) return FeedOnce(step, /*shown=*/true);
  absl::Status status;
  for (int s = 0; s < kDecoderStages; ++s) {
    for (const MemoryBlock& block : stages_[s].blocks) {
      status.Update(Remember(block, levels_[s], step, nullptr));
    }
  }
  for (int i = 0; i < TaehvDecoder::kPrimingFeeds; ++i) {
    status.Update(FeedOnce(step, /*shown=*/false));
  }
  return status;
}

template class GpuTaehv<float>;
template class GpuTaehv<cuda::Bf16>;

}  // namespace firstbyte::waypoint

#include "model/speech/aligned_mel/gpu_vocoder.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace firstbyte::aligned_mel {
namespace {

using cuda::ArrayAt;
using cuda::GpuCausalConv;
using cuda::GpuLinear;
using cuda::GpuStage;
using cuda::MelPitch;
using cuda::Padded;
using cuda::Segment;
using cuda::Take;

constexpr auto kQueue = cuda::Queue::kMedia;
constexpr int kBins = cuda::FilterStep::kBins;
constexpr int kSubframes = kMelSamples / kSubframe;

static_assert(kSubframe == cuda::kSubframe && kOverlap == cuda::kOverlap);

}  // namespace

GpuVocoder::Inputs::Inputs(const Chunk& chunk, int max_batch) {
  constexpr int64_t kUnit = 16;
  const int64_t rows = max_batch, places = rows * chunk.places();
  int64_t end = 0;
  const auto place = [&end](int64_t length) {
    return std::exchange(end, end + (length + kUnit - 1) / kUnit * kUnit);
  };
  pitches = place(places * int64_t{sizeof(MelPitch)});
  segments = place(rows * int64_t{sizeof(Segment)});
  seeds = place(rows * int64_t{sizeof(uint64_t)});
  mels = place(places * Padded(kFeatures) * int64_t{sizeof(float)});
  bytes = end;
}

absl::StatusOr<std::unique_ptr<GpuVocoder>> GpuVocoder::Create(cuda::Gpu* gpu,
                                                               const VocoderConfig& config,
                                                               const Vocoder& vocoder,
                                                               nn::WeightLoader* weights,
                                                               const Size& size) {
  std::unique_ptr<GpuVocoder> made(new GpuVocoder(gpu, config, vocoder, size));
  absl::Status status = made->Allocate();
  if (status.ok()) status = made->Load(weights);
  if (status.ok()) status = made->LoadTables();
  if (status.ok()) status = made->OpenStages();
  if (!status.ok()) return status;
  return made;
}

GpuVocoder::GpuVocoder(cuda::Gpu* gpu, const VocoderConfig& config, const Vocoder& vocoder,
                       const Size& size)
    : gpu_(gpu), config_(config), vocoder_(vocoder), size_(size), layers_(config.num_layers) {
  constexpr int kFrames[] = {1, 4, 8, DecodeRow::kMaxFrames};
  for (size_t i = 0; i < chunks_.size(); ++i) chunks_[i].frames = kFrames[i];
}

int64_t GpuVocoder::SlotBytes(const VocoderConfig& c) {
  const int64_t inputs = kFeatures + int64_t{c.num_layers} * c.hidden_size;  // of all convolutions
  const int64_t floats = (GpuCausalConv::kTaps - 1) * inputs + kOverlap;
  return floats * int64_t{sizeof(float)} + int64_t{sizeof(cuda::Glide)};
}

// --- Load

absl::Status GpuVocoder::LoadConv(nn::WeightLoader* weights, const std::string& name,
                                  GpuCausalConv::Shape shape, GpuCausalConv* conv) const {
  constexpr int kTaps = GpuCausalConv::kTaps;
  shape.number = size_.number;
  shape.slots = size_.slots;
  shape.most_mels = size_.max_batch * chunks_.back().places();
  const auto weight = weights->LoadTensor(name + ".weight", {shape.n, shape.channels, kTaps});
  const auto bias = weights->LoadVector(name + ".bias", shape.n);
  if (!weights->status().ok()) return weights->status();
  return Take(GpuCausalConv::Create(gpu_, shape,
                                    nn::TapsFirst(weight, shape.n, shape.channels, kTaps), bias),
              conv);
}

absl::Status GpuVocoder::LoadProj(nn::WeightLoader* weights, const std::string& name,
                                  GpuLinear* proj) const {
  const int hidden = config_.hidden_size;
  const auto weight = weights->LoadTensor(name + ".weight", {hidden, hidden, 1});
  const auto bias = weights->LoadVector(name + ".bias", hidden);
  if (!weights->status().ok()) return weights->status();
  const GpuLinear::Shape shape = {.n = hidden,
                                  .k = hidden,
                                  .number = size_.number,
                                  .add = true,
                                  .most_rows = size_.max_batch * chunks_.back().places()};
  return Take(GpuLinear::Create(gpu_, shape, weight, bias), proj);
}

// Cepstra of the two sub-frames, each at a row of its own for the product behind it.
absl::Status GpuVocoder::LoadOut(nn::WeightLoader* weights) {
  const int hidden = config_.hidden_size, own = cepstra(), apart = Padded(own);
  const auto weight = weights->LoadTensor("vocoder.out_proj.weight", {kSubframes * own, hidden, 1});
  const auto bias = weights->LoadVector("vocoder.out_proj.bias", kSubframes * own);
  if (!weights->status().ok()) return weights->status();
  std::vector<float> spread(int64_t{kSubframes} * apart * hidden), offset(kSubframes * apart);
  for (int half = 0; half < kSubframes; ++half) {
    std::copy_n(weight.begin() + int64_t{half} * own * hidden, own * hidden,
                spread.begin() + int64_t{half} * apart * hidden);
    std::copy_n(bias.begin() + half * own, own, offset.begin() + half * apart);
  }
  const GpuLinear::Shape shape = {.n = kSubframes * apart,
                                  .k = hidden,
                                  .number = size_.number,
                                  .most_rows = size_.max_batch * chunks_.back().places()};
  return Take(GpuLinear::Create(gpu_, shape, spread, offset), &out_);
}

// Log magnitudes and phases are linear in the cepstra. In float: phases are many turns.
absl::Status GpuVocoder::LoadSpectra() {
  const int own = cepstra(), harmonic = config_.harmonic_cepstra;
  std::vector<float> weight(int64_t{4} * kBins * own);
  const auto put = [&](int row, int column, int order) {
    const nn::Tensor basis = WarpedBasis(order, config_.warp);
    for (int i = 0; i < 2 * kBins; ++i) {
      std::copy_n(basis.data() + i * order, order, weight.data() + (row + i) * own + column);
    }
  };
  put(0, 0, harmonic);
  put(2 * kBins, harmonic, config_.noise_cepstra);
  const GpuLinear::Shape shape = {
      .n = 4 * kBins,
      .k = own,
      .most_rows = size_.max_batch * chunks_.back().places() * kSubframes};
  return Take(GpuLinear::Create(gpu_, shape, weight, {}), &spectra_);
}

absl::Status GpuVocoder::Load(nn::WeightLoader* weights) {
  const int hidden = config_.hidden_size;
  absl::Status status =
      LoadConv(weights, "vocoder.in_conv",
               {.n = hidden, .channels = kFeatures, .activation = cuda::Activation::kSilu}, &in_);
  for (int i = 0; i < config_.num_layers && status.ok(); ++i) {
    const std::string p = "vocoder.layers." + std::to_string(i) + ".";
    status = LoadConv(weights, p + "conv", {.n = 2 * hidden, .channels = hidden}, &layers_[i].conv);
    status.Update(LoadProj(weights, p + "proj", &layers_[i].proj));
  }
  if (status.ok()) status = LoadOut(weights);
  if (status.ok()) status = LoadSpectra();
  return status;
}

absl::Status GpuVocoder::LoadTables() {
  const nn::Tensor window = HannWindow();
  std::vector<float> twiddles;
  for (int i = 0; i < kernels::kFftSize; ++i) {
    const double angle = -2 * std::numbers::pi * i / kernels::kFftSize;
    twiddles.push_back(static_cast<float>(std::cos(angle)));
    twiddles.push_back(static_cast<float>(std::sin(angle)));
  }
  absl::Status status =
      Take(cuda::Upload<float>(gpu_, absl::MakeConstSpan(window.data(), kMelSamples)), &window_);
  status.Update(Take(cuda::Upload<float>(gpu_, twiddles), &twiddles_));
  return status;
}

absl::Status GpuVocoder::Allocate() {
  const int64_t rows = size_.max_batch, places = chunks_.back().places(), mels = rows * places;
  const int64_t hidden = config_.hidden_size;
  const int64_t excited = rows * (kSubframe + places * kMelSamples);
  absl::Status status;
  const auto make = [&](cuda::DeviceArray<float>* array, int64_t count) {
    status.Update(Take(gpu_->NewArray<float>(count), array));
  };
  make(&taps_, GpuCausalConv::TapFloats(std::max(config_.hidden_size, kFeatures), mels));
  make(&hidden_, mels * Padded(hidden));
  make(&gates_, mels * Padded(2 * hidden));
  make(&gated_, mels * Padded(hidden));
  make(&cepstra_, mels * kSubframes * Padded(cepstra()));
  make(&spectrum_, mels * kSubframes * Padded(4 * kBins));
  make(&harmonic_, excited);
  make(&noise_, excited);
  make(&pieces_, mels * kSubframes * kernels::kFftSize);
  make(&overlaps_, int64_t{size_.slots} * kOverlap);
  status.Update(Take(gpu_->NewArray<cuda::Glide>(size_.slots), &last_));
  status.Update(Take(gpu_->NewArray<cuda::Glide>(rows * (1 + places)), &glides_));
  return status;
}

absl::Status GpuVocoder::OpenStages() {
  absl::Status status;
  for (size_t i = chunks_.size(); i-- > 0 && status.ok();) {
    Chunk& chunk = chunks_[i];
    const GpuStage::Shape shape = {
        .queue = kQueue,
        .mode = size_.mode,
        .max_batch = size_.max_batch,
        .input_bytes = Inputs(chunk, size_.max_batch).bytes,
        .result_bytes = int64_t{sizeof(float)} * size_.max_batch * chunk.samples(),
        .input_row_bytes = int64_t{sizeof(float)} * chunk.places() * Padded(kFeatures),
        .result_row_bytes = int64_t{sizeof(float)} * chunk.samples()};
    status = Take(
        GpuStage::Create(gpu_, shape,
                         [this, &chunk](const GpuStage::Step& step) { return Body(step, chunk); }),
        &chunk.stage);
  }
  return status;
}

// --- Fill and read

GpuVocoder::Part GpuVocoder::Fill(const DecodeRow& row, const Chunk& chunk, int at,
                                  char* inputs) const {
  const Inputs in(chunk, size_.max_batch);
  const VocoderState& state = *row.state;
  const int64_t first = int64_t{at} * chunk.places();
  auto* mel = ArrayAt<float>(inputs, in.mels) + first * Padded(kFeatures);
  auto* pitch = ArrayAt<MelPitch>(inputs, in.pitches) + first;
  Segment& segment = ArrayAt<Segment>(inputs, in.segments)[at];
  // A stream begins with a place for the mel frame before its first, as if all were held.
  segment = {state.holding ? state.spoken : state.spoken - 1, 0};
  ArrayAt<uint64_t>(inputs, in.seeds)[at] = state.seed;
  int spoken = 0;
  EachMel(row, [&](const float* input) {
    if (input != nullptr) {
      std::copy_n(input, kFeatures, mel);
      *pitch = {vocoder_.LogF0(state), Vocoder::Voiced(state) ? 1 : 0};
      ++spoken;
    }
    mel += Padded(kFeatures);
    ++pitch;
    ++segment.count;
  });
  const int began = segment.begin <= 0 && spoken > 0 ? kSubframe : 0;  // lies before the stream
  const int finished = spoken * kMelSamples + (row.flush ? kSubframe : 0);
  return {began, finished - began};
}

absl::StatusOr<GpuVocoder::Started> GpuVocoder::Decode(absl::Span<const DecodeRow> rows) {
  int frames = 0;
  for (const DecodeRow& row : rows) frames = std::max(frames, row.count);
  size_t chosen = 0;
  while (chosen + 1 < chunks_.size() && chunks_[chosen].frames < frames) ++chosen;
  Chunk& chunk = chunks_[chosen];
  absl::StatusOr<char*> inputs = chunk.stage->Inputs();
  if (!inputs.ok()) return inputs.status();
  std::vector<Part> parts;
  std::vector<int32_t> slots;
  if (rows.size() <= static_cast<size_t>(size_.max_batch)) {
    for (const DecodeRow& row : rows) {
      parts.push_back(Fill(row, chunk, static_cast<int>(slots.size()), *inputs));
      slots.push_back(row.slot);
    }
  }
  absl::StatusOr<Ticket> ticket = chunk.stage->Submit(slots);
  if (!ticket.ok()) return ticket.status();
  chunk.parts[*ticket % chunk.parts.size()] = std::move(parts);
  return Started{chosen, *ticket};
}

absl::Status GpuVocoder::Finish(const Started& started, absl::Span<const DecodeRow> rows) {
  Chunk& chunk = chunks_[started.chunk];
  absl::StatusOr<const char*> results = chunk.stage->Wait(started.ticket);
  if (!results.ok()) return results.status();
  const auto* samples = ArrayAt<float>(*results, 0);
  const std::vector<Part>& parts = chunk.parts[started.ticket % chunk.parts.size()];
  for (size_t i = 0; i < rows.size(); ++i, samples += chunk.samples()) {
    const float* first = samples + parts[i].first;
    rows[i].output->insert(rows[i].output->end(), first, first + parts[i].count);
  }
  return absl::OkStatus();
}

// --- Body

absl::Status GpuVocoder::Body(const GpuStage::Step& step, const Chunk& chunk) const {
  const Inputs inputs(chunk, size_.max_batch);
  const cuda::Streams streams = {step.slots, ArrayAt<Segment>(step.inputs, inputs.segments),
                                 step.rows, chunk.places()};
  absl::Status status = Network(streams, ArrayAt<float>(step.inputs, inputs.mels));
  status.Update(Speak(step, streams, inputs));
  return status;
}

absl::Status GpuVocoder::Network(const cuda::Streams& streams, const float* mels) const {
  const int hidden = config_.hidden_size, rows = streams.mels();
  absl::Status status = in_.Forward(kQueue, streams, mels, taps_.get(), hidden_.get());
  for (const Layer& layer : layers_) {
    status.Update(layer.conv.Forward(kQueue, streams, hidden_.get(), taps_.get(), gates_.get()));
    const cuda::TanhGateStep<float> gate = {gates_.get(),   gated_.get(), Padded(2 * hidden),
                                            Padded(hidden), rows,         hidden};
    status.Update(gpu_->Call(gpu_->plugin().f32.tanh_gate, kQueue, &gate));
    status.Update(layer.proj.Forward(kQueue, gated_.get(), rows, hidden_.get()));
  }
  status.Update(out_.Forward(kQueue, hidden_.get(), rows, cepstra_.get()));
  status.Update(spectra_.Forward(kQueue, cepstra_.get(), rows * kSubframes, spectrum_.get()));
  return status;
}

absl::Status GpuVocoder::Speak(const GpuStage::Step& step, const cuda::Streams& streams,
                               const Inputs& inputs) const {
  const cuda::SourceFilterKernels& kernels = gpu_->plugin().source_filter;
  const cuda::GlideStep glides = {.pitches = ArrayAt<MelPitch>(step.inputs, inputs.pitches),
                                  .segments = streams.segments,
                                  .slots = streams.slots,
                                  .last = last_.get(),
                                  .glides = glides_.get(),
                                  .sample_rate = kSampleRate,
                                  .rows = streams.rows,
                                  .places = streams.places};
  const cuda::ExciteStep excite = {.glides = glides_.get(),
                                   .segments = streams.segments,
                                   .slots = streams.slots,
                                   .seeds = ArrayAt<uint64_t>(step.inputs, inputs.seeds),
                                   .harmonic = harmonic_.get(),
                                   .noise = noise_.get(),
                                   .sample_rate = kSampleRate,
                                   .rows = streams.rows,
                                   .places = streams.places};
  const cuda::FilterStep filter = {.harmonic = harmonic_.get(),
                                   .noise = noise_.get(),
                                   .spectra = spectrum_.get(),
                                   .window = window_.get(),
                                   .twiddles = twiddles_.get(),
                                   .segments = streams.segments,
                                   .slots = streams.slots,
                                   .pieces = pieces_.get(),
                                   .rows = streams.rows,
                                   .places = streams.places,
                                   .spectra_stride = Padded(4 * kBins)};
  const cuda::OverlapAddStep add = {.pieces = pieces_.get(),
                                    .segments = streams.segments,
                                    .slots = streams.slots,
                                    .overlaps = overlaps_.get(),
                                    .samples = ArrayAt<float>(step.results, 0),
                                    .gain = vocoder_.source_filter().output_gain(),
                                    .rows = streams.rows,
                                    .places = streams.places};
  absl::Status status = gpu_->Call(kernels.glides, kQueue, &glides);
  status.Update(gpu_->Call(kernels.excite, kQueue, &excite));
  status.Update(gpu_->Call(kernels.filter, kQueue, &filter));
  status.Update(gpu_->Call(kernels.overlap_add, kQueue, &add));
  return status;
}

}  // namespace firstbyte::aligned_mel

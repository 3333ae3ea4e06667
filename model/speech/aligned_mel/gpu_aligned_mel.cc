#include "model/speech/aligned_mel/gpu_aligned_mel.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/io/safetensors.h"
#include "model/no_memory.h"

namespace firstbyte::aligned_mel {
namespace {

AlignedMelSession& Mine(Session* session) { return *static_cast<AlignedMelSession*>(session); }

int64_t SlotBytes(const Config& config, cuda::Number number) {
  const AcousticConfig& c = config.acoustic;
  const int64_t frame = int64_t{2} * c.num_hidden_layers * c.num_attention_heads *
                        kernels::kHeadDim * cuda::BytesOf(number);
  return frame * c.sliding_window + GpuVocoder::SlotBytes(config.vocoder);
}

}  // namespace

ModelInfo GpuAlignedMel::Describe(const Config& config, const LaneSize& size) {
  ModelInfo info = AlignedMel::Describe(config, size);
  info.steps_under_way = kStepsUnderWay;
  info.slot_bytes = SlotBytes(config, cuda::Number::kF32);
  return info;
}

absl::StatusOr<std::unique_ptr<GpuAlignedMel>> GpuAlignedMel::Create(
    std::shared_ptr<const Voice> voice, const std::string& folder, std::unique_ptr<cuda::Gpu> gpu,
    const LaneSize& size, const cuda::GpuOptions& options) {
  if (absl::Status good = AlignedMel::Check(size); !good.ok()) return good;
  return OrNoMemory(
      absl::StrCat("opening ", folder), [&]() -> absl::StatusOr<std::unique_ptr<GpuAlignedMel>> {
        std::unique_ptr<GpuAlignedMel> model(
            new GpuAlignedMel(std::move(voice), std::move(gpu), size, options.number));
        absl::Status status = model->Load(folder, options);
        if (!status.ok()) return status;
        return model;
      });
}

GpuAlignedMel::GpuAlignedMel(std::shared_ptr<const Voice> voice, std::unique_ptr<cuda::Gpu> gpu,
                             const LaneSize& size, cuda::Number number)
    : OverlappedModel(size.slots),
      voice_(std::move(voice)),
      gpu_(std::move(gpu)),
      info_(Describe(voice_->config, size)),
      durations_(voice_->durations) {
  info_.version = voice_->version;
  info_.slot_bytes = SlotBytes(voice_->config, number);
}

absl::Status GpuAlignedMel::Load(const std::string& folder, const cuda::GpuOptions& options) {
  absl::StatusOr<SafeTensors> file = SafeTensors::Open(folder + "/model.safetensors");
  if (!file.ok()) return file.status();
  nn::WeightLoader weights(*file, kernels::Kernels());
  const int slots = info_.slots, batch = info_.max_batch;
  absl::Status status = cuda::Take(
      GpuAcoustic::Create(
          gpu_.get(), voice_->config.acoustic, voice_->conditioner, &weights,
          {.slots = slots, .max_batch = batch, .mode = options.mode, .number = options.number}),
      &acoustic_);
  if (status.ok()) {
    status =
        cuda::Take(GpuVocoder::Create(gpu_.get(), voice_->config.vocoder, voice_->vocoder, &weights,
                                      {.slots = slots,
                                       .max_batch = batch,
                                       .mode = options.mode,
                                       .number = cuda::OnFloats(options.number)}),
                   &vocoder_);
  }
  return weights.status().ok() ? status : weights.status();
}

absl::StatusOr<std::unique_ptr<Prepared>> GpuAlignedMel::Prepare(const RawInput& input) const {
  return AlignedMel::PrepareFor(*voice_, input);
}

absl::StatusOr<std::unique_ptr<Session>> GpuAlignedMel::NewSession(const SessionSpec& spec,
                                                                   Slot slot) {
  return std::make_unique<AlignedMelSession>(*voice_, spec, std::move(slot),
                                             Conditions::kWithTheFrame);
}

absl::Status GpuAlignedMel::Start(const Step& step) {
  UnderWay& mine = under_way_[step.place];
  mine.prefilled.clear();
  mine.frames.clear();
  mine.chunks.clear();
  switch (step.stage) {
    case Stage::kPrefill:
      for (Session* session : step.batch) {
        mine.prefilled.push_back(Mine(session).Prefill(&durations_, nullptr));
      }
      return absl::OkStatus();
    case Stage::kGenerate:
      for (Session* session : step.batch) {
        AlignedMelSession& one = Mine(session);
        mine.frames.push_back(
            {one.NextFrame(), one.clause().span(), &one.clause().ends, one.stretch()});
      }
      return cuda::Take(acoustic_->Step(mine.frames), &mine.generated);
    case Stage::kDecode:
      for (Session* session : step.batch) {
        mine.chunks.push_back(Mine(session).NextDecode(step.frames));
      }
      return cuda::Take(vocoder_->Decode(mine.chunks), &mine.decoded);
    case Stage::kCommit:
      break;  // no session has any: nobody gets here
  }
  return Error(absl::StatusCode::kInternal, "NO_SUCH_STAGE", "speech has no commit");
}

absl::Status GpuAlignedMel::Read(const Step& step, absl::Span<absl::Status> statuses) {
  UnderWay& mine = under_way_[step.place];
  for (size_t i = 0; i < mine.prefilled.size(); ++i) statuses[i] = std::move(mine.prefilled[i]);
  if (step.stage == Stage::kGenerate) {
    absl::Status status = acoustic_->Finish(mine.generated, mine.frames);
    if (!status.ok()) return status;
    for (size_t i = 0; i < mine.frames.size(); ++i) {
      statuses[i] = Mine(step.batch[i]).FinishFrame();
    }
  } else if (step.stage == Stage::kDecode) {
    absl::Status status = vocoder_->Finish(mine.decoded, mine.chunks);
    if (!status.ok()) return status;
    for (size_t i = 0; i < mine.chunks.size(); ++i) {
      Mine(step.batch[i]).FinishDecode(mine.chunks[i]);
    }
  }
  return absl::OkStatus();
}

}  // namespace firstbyte::aligned_mel

#include "model/world/state_dit/gpu_state_dit.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/io/safetensors.h"
#include "model/no_memory.h"

namespace firstbyte::state_dit {
namespace {

// Of a slot: keys and values of the window and the frame being made.
int64_t RingBytes(const DitConfig& config, cuda::Number number) {
  return int64_t{2} * config.layers * config.heads * RingMemory::kHeadDim * kTokens *
         (config.window + 1) * cuda::BytesOf(number);
}

}  // namespace

GpuStateDit::UnderWay::UnderWay(int max_batch) : step(max_batch), pixels(kPixels * max_batch) {
  pictures.reserve(max_batch);
}

ModelInfo GpuStateDit::Describe(const Config& config, const LaneSize& size) {
  ModelInfo info = StateDit::Describe(config, size);
  info.steps_under_way = kStepsUnderWay;
  info.slot_bytes = RingBytes(config.dit, cuda::Number::kF32);
  return info;
}

absl::StatusOr<std::unique_ptr<GpuStateDit>> GpuStateDit::Create(std::shared_ptr<const World> world,
                                                                 const std::string& folder,
                                                                 std::unique_ptr<cuda::Gpu> gpu,
                                                                 const LaneSize& size,
                                                                 const cuda::GpuOptions& options) {
  return OrNoMemory(absl::StrCat("opening ", folder),
                    [&]() -> absl::StatusOr<std::unique_ptr<GpuStateDit>> {
                      std::unique_ptr<GpuStateDit> model(
                          new GpuStateDit(std::move(world), std::move(gpu), size, options.number));
                      absl::Status status = model->Load(folder, options);
                      if (!status.ok()) return status;
                      return model;
                    });
}

GpuStateDit::GpuStateDit(std::shared_ptr<const World> world, std::unique_ptr<cuda::Gpu> gpu,
                         const LaneSize& size, cuda::Number number)
    : OverlappedModel(size.slots),
      world_(std::move(world)),
      gpu_(std::move(gpu)),
      info_(Describe(world_->config, size)),
      steps_(*world_, size.max_batch),
      under_way_{UnderWay(size.max_batch), UnderWay(size.max_batch)} {
  info_.version = world_->version;
  info_.slot_bytes = RingBytes(world_->config.dit, number);
}

absl::Status GpuStateDit::Load(const std::string& folder, const cuda::GpuOptions& options) {
  absl::StatusOr<SafeTensors> file = SafeTensors::Open(folder + "/model.safetensors");
  if (!file.ok()) return file.status();
  nn::WeightLoader weights(*file, *world_->kernels);
  absl::Status status = LoadStages(options, &weights);
  return weights.status().ok() ? status : weights.status();
}

absl::Status GpuStateDit::LoadStages(const cuda::GpuOptions& options, nn::WeightLoader* weights) {
  const Config& config = world_->config;
  const bool half = cuda::BytesOf(options.number) < 4;
  absl::Status status = cuda::Take(GpuDit::Create(gpu_.get(), config, world_->dit, weights,
                                                  {.slots = info_.slots,
                                                   .max_batch = info_.max_batch,
                                                   .mode = options.mode,
                                                   .number = options.number}),
                                   &dit_);
  if (!status.ok()) return status;
  status = cuda::Take(GpuDecoder::Create(gpu_.get(), config, weights,
                                         {.max_batch = info_.max_batch,
                                          .mode = options.mode,
                                          .number = half ? cuda::Number::kTf32 : options.number}),
                      &decoder_);
  if (!status.ok()) return status;
  return cuda::Take(GpuRings::Create(gpu_.get(), config.dit, dit_.get()), &rings_);
}

absl::StatusOr<std::unique_ptr<Prepared>> GpuStateDit::Prepare(const RawInput& input) const {
  return StateDit::PrepareFor(*world_, input);
}

absl::StatusOr<std::unique_ptr<Session>> GpuStateDit::NewSession(const SessionSpec& spec,
                                                                 Slot slot) {
  return StateDit::OpenSession(*world_, *rings_, spec, std::move(slot));
}

absl::StatusOr<Ticket> GpuStateDit::StartPass(UnderWay* mine) {
  steps_.Fill(&mine->step);
  return mine->step.stage == Stage::kGenerate ? dit_->Denoise(mine->step.passes)
                                              : dit_->Commit(mine->step.passes);
}

absl::StatusOr<Ticket> GpuStateDit::StartDecode(UnderWay* mine) {
  mine->pictures.clear();
  float* pixels = mine->pixels.data();
  for (const WorldSession* session : mine->step.running) {
    mine->pictures.push_back({session->slot(), session->latents(), pixels});
    pixels += kPixels;
  }
  return decoder_->Decode(mine->pictures);
}

absl::Status GpuStateDit::Start(const Step& step) {
  UnderWay& mine = under_way_[step.place];
  WorldSteps::Choose(step.stage, step.batch, &mine.step);
  return cuda::Take(step.stage == Stage::kDecode ? StartDecode(&mine) : StartPass(&mine),
                    &mine.ticket);
}

absl::Status GpuStateDit::Read(const Step& step, absl::Span<absl::Status> statuses) {
  const UnderWay& mine = under_way_[step.place];
  if (step.stage == Stage::kDecode) {
    absl::Status status = decoder_->Finish(mine.ticket, mine.pictures);
    if (status.ok()) WorldSteps::FinishDecode(mine.step, mine.pixels.data());
    return status;
  }
  absl::Status status = step.stage == Stage::kGenerate
                            ? dit_->FinishDenoise(mine.ticket, mine.step.passes)
                            : dit_->FinishCommit(mine.ticket);
  if (status.ok()) WorldSteps::Finish(mine.step, statuses);
  return status;
}

}  // namespace firstbyte::state_dit

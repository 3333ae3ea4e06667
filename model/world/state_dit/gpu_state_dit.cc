#include "model/world/state_dit/gpu_state_dit.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/io/safetensors.h"
#include "model/no_memory.h"

namespace firstbyte::state_dit {
namespace {

absl::Status NotYet() {
  return Error(absl::StatusCode::kUnimplemented, "NOT_SUPPORTED",
               "worlds on a GPU are not saved yet");
}

class GpuWorldSession : public WorldSession {
 public:
  using WorldSession::WorldSession;
  absl::StatusOr<std::string> Save() const override { return NotYet(); }
};

}  // namespace

ModelInfo GpuStateDit::Describe(const Config& config, const LaneSize& size) {
  ModelInfo info = StateDit::Describe(config, size);
  info.steps_under_way = kStepsUnderWay;
  return info;
}

absl::StatusOr<std::unique_ptr<GpuStateDit>> GpuStateDit::Create(std::shared_ptr<const World> world,
                                                                 const std::string& folder,
                                                                 std::unique_ptr<cuda::Gpu> gpu,
                                                                 const LaneSize& size,
                                                                 const cuda::GpuOptions& options) {
  return OrNoMemory(
      absl::StrCat("opening ", folder), [&]() -> absl::StatusOr<std::unique_ptr<GpuStateDit>> {
        std::unique_ptr<GpuStateDit> model(new GpuStateDit(std::move(world), std::move(gpu), size));
        absl::Status status = model->Load(folder, options);
        if (!status.ok()) return status;
        return model;
      });
}

GpuStateDit::GpuStateDit(std::shared_ptr<const World> world, std::unique_ptr<cuda::Gpu> gpu,
                         const LaneSize& size)
    : OverlappedModel(size.slots),
      world_(std::move(world)),
      gpu_(std::move(gpu)),
      info_(Describe(world_->config, size)),
      no_rings_(world_->config.dit, /*slots=*/0),
      steps_(*world_, size.max_batch),
      under_way_{UnderWay(size.max_batch), UnderWay(size.max_batch)} {
  info_.version = world_->version;
}

absl::Status GpuStateDit::Load(const std::string& folder, const cuda::GpuOptions& options) {
  absl::StatusOr<SafeTensors> file = SafeTensors::Open(folder + "/model.safetensors");
  if (!file.ok()) return file.status();
  nn::WeightLoader weights(*file, *world_->kernels);
  absl::Status status = cuda::Take(GpuDit::Create(gpu_.get(), world_->config, world_->dit, &weights,
                                                  {.slots = info_.slots,
                                                   .max_batch = info_.max_batch,
                                                   .mode = options.mode,
                                                   .number = options.number}),
                                   &dit_);
  return weights.status().ok() ? status : weights.status();
}

absl::StatusOr<std::unique_ptr<Prepared>> GpuStateDit::Prepare(const RawInput& input) const {
  return StateDit::PrepareFor(*world_, input);
}

absl::StatusOr<std::unique_ptr<Session>> GpuStateDit::NewSession(const SessionSpec& spec,
                                                                 Slot slot) {
  if (spec.state != nullptr) return NotYet();
  auto session = std::make_unique<GpuWorldSession>(*world_, no_rings_, std::move(slot));
  absl::Status begun = StateDit::Begin(*world_, spec, session.get());
  if (!begun.ok()) return begun;
  return session;
}

absl::Status GpuStateDit::Start(const Step& step) {
  UnderWay& mine = under_way_[step.place];
  mine.ticket.reset();
  WorldSteps::Choose(step.stage, step.batch, &mine.step);
  if (step.stage == Stage::kDecode) {
    steps_.Decode(mine.step);  // while the device has the step before
    return absl::OkStatus();
  }
  steps_.Fill(&mine.step);
  absl::StatusOr<Ticket> ticket = step.stage == Stage::kGenerate ? dit_->Denoise(mine.step.passes)
                                                                 : dit_->Commit(mine.step.passes);
  if (ticket.ok()) mine.ticket = *ticket;
  return ticket.status();
}

absl::Status GpuStateDit::Read(const Step& step, absl::Span<absl::Status> statuses) {
  const UnderWay& mine = under_way_[step.place];
  if (!mine.ticket) return absl::OkStatus();
  absl::Status status = step.stage == Stage::kGenerate
                            ? dit_->FinishDenoise(*mine.ticket, mine.step.passes)
                            : dit_->FinishCommit(*mine.ticket);
  if (status.ok()) WorldSteps::Finish(mine.step, statuses);
  return status;
}

}  // namespace firstbyte::state_dit

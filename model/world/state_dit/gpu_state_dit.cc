#include "model/world/state_dit/gpu_state_dit.h"

#include <string>
#include <utility>

#include "base/error.h"

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

GpuStateDit::GpuStateDit(std::shared_ptr<const World> world, std::unique_ptr<GpuDit> dit,
                         const LaneSize& size)
    : OverlappedModel(size.slots),
      world_(std::move(world)),
      dit_(std::move(dit)),
      no_rings_(world_->config.dit, /*slots=*/0),
      info_(StateDit::Describe(world_->config, size)),
      steps_(*world_, size.max_batch),
      under_way_{UnderWay(size.max_batch), UnderWay(size.max_batch)} {
  info_.version = world_->version;
  info_.steps_under_way = kStepsUnderWay;
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

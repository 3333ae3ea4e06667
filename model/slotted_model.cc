#include "model/slotted_model.h"

#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/no_memory.h"

namespace firstbyte {

std::vector<int> FreeSlots(int slots) {
  std::vector<int> free(slots);
  std::iota(free.rbegin(), free.rend(), 0);
  return free;
}

absl::Status NoSlot() {
  return Error(absl::StatusCode::kResourceExhausted, "NO_SLOT", "all slots are taken");
}

absl::Status BatchTooLarge(int max_batch) {
  return Error(absl::StatusCode::kResourceExhausted, "BATCH_TOO_LARGE",
               absl::StrCat("at most ", max_batch, " sessions fit one step"));
}

SlottedModel::SlottedModel(int slots) : free_slots_(FreeSlots(slots)) {}

absl::StatusOr<std::unique_ptr<Session>> SlottedModel::Open(const SessionSpec& spec) {
  if (free_slots_.empty()) return NoSlot();
  return OrNoMemory("a session", [&] { return NewSession(spec, Slot(&free_slots_)); });
}

Ticket SlottedModel::Submit(Stage stage, absl::Span<Session* const> batch, int frames) {
  report_.session_status.assign(batch.size(), absl::OkStatus());
  step_status_ = absl::OkStatus();
  if (batch.size() > static_cast<size_t>(info().max_batch)) {
    step_status_ = BatchTooLarge(info().max_batch);
  } else {
    Run(stage, batch, frames, absl::MakeSpan(report_.session_status));
  }
  return ++ticket_;
}

absl::Status SlottedModel::Wait(Ticket, StepReport* report) {
  std::swap(*report, report_);  // the caller's memory serves the next step
  return step_status_;
}

}  // namespace firstbyte

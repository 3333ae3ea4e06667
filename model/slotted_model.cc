#include "model/slotted_model.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/no_memory.h"

namespace firstbyte {

SlottedModel::SlottedModel(int slots) {
  for (int slot = slots; slot-- > 0;) free_slots_.push_back(slot);
}

absl::StatusOr<std::unique_ptr<Session>> SlottedModel::Open(const SessionSpec& spec) {
  if (free_slots_.empty()) {
    return Error(absl::StatusCode::kResourceExhausted, "NO_SLOT", "all slots are taken");
  }
  return OrNoMemory("a session", [&] { return NewSession(spec, Slot(&free_slots_)); });
}

Ticket SlottedModel::Submit(Stage stage, absl::Span<Session* const> batch, int frames) {
  report_.session_status.assign(batch.size(), absl::OkStatus());
  step_status_ = absl::OkStatus();
  if (batch.size() > static_cast<size_t>(info().max_batch)) {
    step_status_ = Error(absl::StatusCode::kResourceExhausted, "BATCH_TOO_LARGE",
                         absl::StrCat("at most ", info().max_batch, " sessions fit one step"));
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

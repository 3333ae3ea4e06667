#include "model/overlapped_model.h"

#include <utility>

#include "model/no_memory.h"

namespace firstbyte {

// A family's session, which is left alone while a step of it is under way.
class OverlappedModel::Held : public Session {
 public:
  explicit Held(std::unique_ptr<Session> session) : session_(std::move(session)) {}

  absl::Status Push(Input input) override { return session_->Push(std::move(input)); }
  Work work() const override {
    if (!under_way_) return session_->work();
    const Work now = session_->work();
    return {.clauses_waiting = now.clauses_waiting, .closed = now.closed};
  }
  Output Take() override { return under_way_ ? Output{} : session_->Take(); }
  absl::StatusOr<std::string> Save() const override { return session_->Save(); }

 private:
  friend class OverlappedModel;

  const std::unique_ptr<Session> session_;
  bool under_way_ = false;
};

OverlappedModel::OverlappedModel(int slots) : free_slots_(FreeSlots(slots)) {
  for (int i = 0; i < kStepsUnderWay; ++i) places_[i].step.place = i;
}

absl::StatusOr<std::unique_ptr<Session>> OverlappedModel::Open(const SessionSpec& spec) {
  if (free_slots_.empty()) return NoSlot();
  return OrNoMemory("a session", [&]() -> absl::StatusOr<std::unique_ptr<Session>> {
    auto session = NewSession(spec, Slot(&free_slots_));
    if (!session.ok()) return session.status();
    return std::make_unique<Held>(*std::move(session));
  });
}

Ticket OverlappedModel::Submit(Stage stage, absl::Span<Session* const> batch, int frames) {
  Place& place = places_[++submitted_ % kStepsUnderWay];
  place.ticket = submitted_;
  place.step.stage = stage;
  place.step.frames = frames;
  Gather(batch, &place);
  place.status = StartIn(&place);
  if (!place.status.ok()) return submitted_;  // nothing is under way
  for (Held* session : place.sessions) session->under_way_ = true;
  return submitted_;
}

void OverlappedModel::Gather(absl::Span<Session* const> batch, Place* place) {
  place->sessions.clear();
  place->indices.clear();
  place->step.batch.clear();
  for (Session* each : batch) {
    auto* session = static_cast<Held*>(each);
    place->sessions.push_back(session);
    if (!CanRun(session->work(), place->step.stage)) continue;
    place->indices.push_back(place->sessions.size() - 1);
    place->step.batch.push_back(session->session_.get());
  }
}

absl::Status OverlappedModel::StartIn(Place* place) {
  if (!lost_.ok()) return lost_;
  if (place->sessions.size() > static_cast<size_t>(info().max_batch)) {
    return BatchTooLarge(info().max_batch);
  }
  if (place->step.batch.empty()) return absl::OkStatus();
  absl::Status status = Start(place->step);
  if (!status.ok() && !absl::IsResourceExhausted(status)) lost_ = status;
  return status;
}

absl::Status OverlappedModel::Wait(Ticket ticket, StepReport* report) {
  Place& place = places_[ticket % kStepsUnderWay];
  if (ticket != waited_ + 1 || place.ticket != ticket) {
    return absl::FailedPreconditionError("not the step that is next");
  }
  waited_ = ticket;
  report->session_status.assign(place.sessions.size(), absl::OkStatus());
  if (!place.status.ok()) return place.status;
  for (Held* session : place.sessions) session->under_way_ = false;
  if (!lost_.ok()) return lost_;  // by the step before
  if (!place.step.batch.empty()) {
    std::vector<absl::Status> statuses(place.step.batch.size());
    place.status = Read(place.step, absl::MakeSpan(statuses));
    for (size_t i = 0; i < statuses.size(); ++i) {
      report->session_status[place.indices[i]] = std::move(statuses[i]);
    }
  }
  if (!place.status.ok()) lost_ = place.status;
  return place.status;
}

}  // namespace firstbyte

// What families on a device of its own have in common behind the contract of model.h: slots, and
// steps in two halves, so that two of them can be under way. A family says how a session is made,
// how a step is started and how its results are read. As any Model, used by its lane only.
//
// A session in a step that is under way has no work: its family's session is as it was before or
// after a step, never in the middle of one. Steps overlap where sessions are in different stages or
// do not fit one batch.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "model/slotted_model.h"

namespace firstbyte {

class OverlappedModel : public Model {
 public:
  static constexpr int kStepsUnderWay = 2;  // for info()

  absl::StatusOr<std::unique_ptr<Session>> Open(const SessionSpec& spec) final;
  Ticket Submit(Stage stage, absl::Span<Session* const> batch, int frames) final;
  absl::Status Wait(Ticket ticket, StepReport* report) final;

 protected:
  // A step as its family sees it.
  struct Step {
    int place = 0;  // below kStepsUnderWay; no other step under way has it
    Stage stage = Stage::kGenerate;
    int frames = 0;
    std::vector<Session*> batch;  // as NewSession() made them; those that have `stage` to do
  };

  explicit OverlappedModel(int slots);

 private:
  class Held;
  struct Place {
    Ticket ticket = 0;
    Step step;
    std::vector<Held*> sessions;  // all that were given
    std::vector<size_t> indices;  // in `sessions`, parallel to step.batch
    absl::Status status;
  };

  virtual absl::StatusOr<std::unique_ptr<Session>> NewSession(const SessionSpec& spec,
                                                              Slot slot) = 0;
  // Fills what the device is given and starts it; does not wait. kResourceExhausted: not started,
  // and the sessions are as they were. After any other failure only Model's destructor is called.
  virtual absl::Status Start(const Step& step) = 0;
  // Waits for a step that was started, the oldest. statuses[i] is OK and for step.batch[i] to fail.
  virtual absl::Status Read(const Step& step, absl::Span<absl::Status> statuses) = 0;

  void Gather(absl::Span<Session* const> batch, Place* place);
  absl::Status StartIn(Place* place);

  std::vector<int> free_slots_;
  std::array<Place, kStepsUnderWay> places_;
  Ticket submitted_ = 0, waited_ = 0;  // the last of each
  absl::Status lost_;
};

}  // namespace firstbyte

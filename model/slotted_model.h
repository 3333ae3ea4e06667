// What every CPU family has in common behind the contract of model.h: slots that are handed out,
// and steps that have run when Submit() returns. A family says how a session is made and what a
// step does. As any Model, used by its lane only.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "model/model.h"

namespace firstbyte {

// A session's place in its model's buffers; given back when destroyed.
class Slot {
 public:
  explicit Slot(std::vector<int>* free) : free_(free), index_(free->back()) { free->pop_back(); }
  Slot(Slot&& other) noexcept : free_(std::exchange(other.free_, nullptr)), index_(other.index_) {}
  Slot& operator=(Slot&&) = delete;
  ~Slot() {
    if (free_ != nullptr) free_->push_back(index_);
  }

  int index() const { return index_; }

 private:
  std::vector<int>* free_;  // outlives every slot
  const int index_;
};

std::vector<int> FreeSlots(int slots);  // all of them; the lowest is given out first

// What a family answers to one session too many, and to a step of more than info().max_batch.
absl::Status NoSlot();
absl::Status BatchTooLarge(int max_batch);

class SlottedModel : public Model {
 public:
  absl::StatusOr<std::unique_ptr<Session>> Open(const SessionSpec& spec) final;
  Ticket Submit(Stage stage, absl::Span<Session* const> batch, int frames) final;
  absl::Status Wait(Ticket ticket, StepReport* report) final;

 protected:
  explicit SlottedModel(int slots);

 private:
  virtual absl::StatusOr<std::unique_ptr<Session>> NewSession(const SessionSpec& spec,
                                                              Slot slot) = 0;
  // One step, of at most info().max_batch sessions; statuses[i] is OK and for batch[i] to fail.
  virtual void Run(Stage stage, absl::Span<Session* const> batch, int frames,
                   absl::Span<absl::Status> statuses) = 0;

  std::vector<int> free_slots_;
  Ticket ticket_ = 0;
  absl::Status step_status_;
  StepReport report_;
};

}  // namespace firstbyte

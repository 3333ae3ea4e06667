// A model on a device that runs steps by itself, for tests of what drives it.
//
// It is another model, such as a scripted one, whose steps stay under way until they have been
// waited for: only then their media show. The device works in a fake clock's time, one step after
// the other in the order of submission. A caller that breaks the contract of model.h fails the
// test.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>

#include "base/clock.h"
#include "model/model.h"

namespace firstbyte {

// The time of a device, which several models may share.
class FakeDevice {
 public:
  explicit FakeDevice(FakeClock* clock) : clock_(clock) {}

  // A step that is submitted now; returns when it will have ended.
  absl::Time Run(absl::Duration cost);
  void WaitUntil(absl::Time end);

  // Between the first step and the last.
  absl::Duration idle() const { return idle_; }

 private:
  FakeClock* const clock_;
  std::optional<absl::Time> free_;  // from then on, once it had a step
  absl::Duration idle_;
};

struct DeviceOptions {
  int steps_under_way = 2;
  // What work() knows of a step under way.
  enum class Foresight {
    kNone,  // so a session in a step has no work
    kAll,   // as if it were done
    kLate,  // the same, but not that a session has no more to generate
  } foresight = Foresight::kAll;
  // Of the step that was just submitted.
  std::function<absl::Duration()> cost = [] { return absl::Milliseconds(1); };
};

class DeviceSession;

class DeviceModel : public Model {
 public:
  // `device` outlives it.
  DeviceModel(std::unique_ptr<Model> model, FakeDevice* device, DeviceOptions options = {});
  ~DeviceModel() override;

  const ModelInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const override {
    return model_->Prepare(input);
  }
  absl::StatusOr<std::unique_ptr<Session>> Open(const SessionSpec& spec) override;
  Ticket Submit(Stage stage, absl::Span<Session* const> batch, int frames) override;
  absl::Status Wait(Ticket ticket, StepReport* report) override;

  int most_under_way() const { return most_under_way_; }
  // How often somebody waited though one more step could have been under way, and there was one.
  int idle_waits() const { return idle_waits_; }

 private:
  friend class DeviceSession;
  struct Part {  // of a session in a step
    DeviceSession* session;
    absl::Status status;
    Output output;
    bool generates_on = false;  // after the step
  };
  struct Step {
    Ticket ticket;
    Stage stage;
    absl::Time end;
    absl::Status status;
    std::vector<Part> parts;
  };

  void RunNow(Stage stage, int frames, Step* step);
  bool CouldRun() const;

  const std::unique_ptr<Model> model_;
  FakeDevice* const device_;
  const DeviceOptions options_;
  ModelInfo info_;
  std::set<DeviceSession*> sessions_;
  std::deque<Step> steps_;
  absl::Status lost_;
  Ticket ticket_ = 0;
  int most_under_way_ = 0, idle_waits_ = 0;
};

}  // namespace firstbyte

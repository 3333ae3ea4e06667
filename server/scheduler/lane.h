// A lane: one device executor with its own thread, models and sessions.
//
//   collect commands -> choose (model, stage, batch) -> Submit -> Wait -> publish what finished
//
// Where a model's steps may overlap (ModelInfo::steps_under_way), the lane waits for a step once
// the next has been submitted, so that the device is not idle while the lane publishes and chooses.
// A session ends when the last step that it takes part in has been waited for.
//
// Any thread may call the public methods; all session work happens on the lane's thread (or in
// RunOnce, which tests use instead of a thread). Commands of one session keep their order.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "model/model.h"
#include "server/scheduler/admission.h"
#include "server/scheduler/lane_events.h"
#include "server/scheduler/load.h"
#include "server/scheduler/policy.h"
#include "server/scheduler/steps_under_way.h"
#include "server/scheduler/stream_port.h"
#include "server/scheduler/warm_up.h"

namespace firstbyte {

class Tracer;

struct LaneOptions {
  PolicyOptions policy;
  // A voice's slot without input is released after this; a world's stream sees to that itself.
  absl::Duration idle_timeout = absl::Seconds(60);
  const Clock* clock = &Clock::Steady();
  int index = 0;  // of the lane in the engine
  // Called on the lane after each step that advanced its sessions; for metrics.
  std::function<void(const LaneStep&)> on_step;
  std::vector<LaneWatcher*> watchers;  // by index; see all that goes in and out; outlive the lane
  Tracer* tracer = nullptr;            // outlives the lane
  // Called on the lane after each step that warm-up measured: how long it took then, and now, with
  // all that the lane does around it: choosing, publishing, waiting for its core.
  std::function<void(absl::Duration at_warm_up, absl::Duration took)> on_cost;
  // Called on the lane when it has changed how many listeners of each model are CatchingUp().
  std::function<void(absl::Span<const int> by_model)> on_catching_up;
  // A lane that is in the middle of something for this long has stalled; 0: nobody looks.
  absl::Duration stall_timeout = absl::Seconds(60);
  // Called once when the device is lost, or a lane stalled, and every session has been ended.
  std::function<void(const absl::Status&)> on_device_lost;
};

struct SessionRequest {
  SessionSpec spec;
  std::string tenant;
  absl::Duration max_lead = absl::Seconds(4);
  std::shared_ptr<StreamPort> port;
  Seat seat;  // from the admission ledger; released after the session's slot is free
  std::shared_ptr<const RawInput> said;  // spec.scene was prepared from it; for a watcher
};

class Lane {
 public:
  using SessionId = uint64_t;

  // `models`: how many the ledger has. Each must be added before a session is opened on it.
  Lane(int models, LaneOptions options);
  ~Lane();  // ends what is open with kCancelled

  void Start();

  int index() const { return options_.index; }
  // Model `index` of the ledger, warm; also while others run. This lane alone opens sessions on it.
  void Add(int index, std::shared_ptr<Model> model, ModelCosts costs);
  // Takes it out again, once no session is open on it and none will be before the next Add(). The
  // lane's thread lets go of it; this blocks until then.
  std::shared_ptr<Model> Remove(int index);

  SessionId Open(SessionRequest request);
  // `said`: what it was prepared from, for a watcher.
  void Push(SessionId id, Input input, std::shared_ptr<const RawInput> said = nullptr);
  // Cancel: the slot is free when the steps under way have ended; Ended(kCancelled) follows.
  void Close(SessionId id);
  void Wake();  // outbox room or playback changed

  // Odd while the lane's thread is in the middle of an iteration. See LaneWatch.
  uint64_t iteration() const { return iteration_; }
  // Ends every stream without the lane's thread, which stands still.
  void Abandon(const absl::Status& status);

  // One iteration. Returns how long nothing will happen without a command; zero = call again.
  absl::Duration RunOnce();

 private:
  struct OpenSession;
  struct AddedModel {
    int index;
    std::shared_ptr<Model> model;
    ModelCosts costs;
  };
  struct Removal {
    int index;
    std::promise<std::shared_ptr<Model>> model;
  };
  struct Command {
    enum class Kind { kOpen, kPush, kClose, kAdd, kRemove } kind;
    SessionId id;
    std::unique_ptr<SessionRequest> request;
    Input input = EndOfInput{};
    std::shared_ptr<const RawInput> said = nullptr;
    std::unique_ptr<AddedModel> added;
    std::unique_ptr<Removal> removal;
  };

  void Loop();
  absl::Duration Iterate();
  void Enqueue(Command command);
  void Collect();
  void Apply(Command command);
  void AddOne(AddedModel added);
  void OpenOne(SessionId id, SessionRequest request);
  bool BeginBlocks(absl::Time now, absl::Duration* sleep);
  void BeginBlock(OpenSession& session, absl::Time now);
  absl::Status PushTo(OpenSession& session, Input input, const RawInput* said);
  bool EndIdle(absl::Time now, absl::Duration* sleep);
  SessionView View(OpenSession& session, absl::Time now);
  void TellStanding(OpenSession& session, const SessionView& view);
  void CountCatchingUp(absl::Span<const SessionView> views);
  std::optional<Quantum> Choose(absl::Span<const SessionView> views, absl::Time now);
  void Submit(const Quantum& quantum, const std::vector<OpenSession*>& sessions, absl::Time round);
  bool FinishSteps(const std::optional<Quantum>& submitted);
  void FinishOldest();
  LaneStep LaneStepOf(const StepUnderWay& step) const;
  void Tell(const StepUnderWay& step, const std::vector<OpenSession*>& batch);
  void Shrink(const StepUnderWay& step, const std::vector<OpenSession*>& batch);
  void Charge(const StepUnderWay& step, const std::vector<OpenSession*>& batch);
  void ReportCost(const StepUnderWay& step);
  void Account(OpenSession& session, const StepUnderWay& step);
  void Publish(OpenSession& session);
  void End(SessionId id, const absl::Status& status);
  void EndAll(const absl::Status& status);
  void Release(SessionId id);
  void LoseDevice(const absl::Status& status);

  const LaneOptions options_;
  LaneWatcher* const watcher_;
  // Lane thread only.
  std::vector<std::shared_ptr<Model>> models_;
  StepCosts costs_;
  RecentTime recent_;
  std::vector<int> max_batch_, catching_up_;  // by model
  std::unordered_map<SessionId, std::unique_ptr<OpenSession>> sessions_;
  StepsUnderWay under_way_;
  bool lost_ = false;
  std::atomic<uint64_t> iteration_ = 0;  // read by any thread

  Mutex mu_;
  CondVar wake_;
  std::vector<Command> commands_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<SessionId, std::weak_ptr<StreamPort>> ports_ ABSL_GUARDED_BY(mu_);
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  SessionId next_id_ ABSL_GUARDED_BY(mu_) = 1;
  std::thread thread_;
};

}  // namespace firstbyte

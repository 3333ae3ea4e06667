#include "client/loadgen/world_caller.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>

#include <grpcpp/alarm.h>

#include "base/mutex.h"
#include "client/loadgen/draw.h"
#include "client/loadgen/timed_call.h"
#include "firstbyte/v1/world.grpc.pb.h"

namespace firstbyte {
namespace {

v1::StepWorldRequest OpenRequest(const CallPlan& plan) {
  v1::StepWorldRequest request;
  v1::OpenWorld& open = *request.mutable_open();
  open.mutable_create()->set_seed(plan.seed);
  open.mutable_create()->set_prompt(plan.world.prompt);
  open.set_model(plan.world.model);
  open.set_pacing(plan.world.pacing);
  open.set_target_fps(static_cast<float>(plan.world.target_fps));
  open.mutable_video()->set_format(plan.world.video);
  return request;
}

// Writes come from reads and from the alarm, hence the mutex.
class WorldCall : public TimedCall<v1::StepWorldRequest, v1::StepWorldResponse> {
 public:
  WorldCall(const CallPlan& plan, const CallerOptions& options, LiveCalls* live,
            std::function<void(CallRecord)> done)
      : TimedCall(plan, options, live, std::move(done)), plan_(plan) {}

  void Start(const Connections& connections) {
    stub_ = v1::WorldService::NewStub(Begin(connections));
    record_.start = options_.clock->Now();
    stub_->async()->StepWorld(&context_, this);
    AddHold();  // until the server ends the stream: before that the alarm may still write
    Write(OpenRequest(plan_));
    StartRead(&response_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      record_.end = options_.clock->Now();
      Stop();
      return;
    }
    if (response_.has_opened()) {
      TakeOpened(response_.opened());
    } else if (response_.has_block()) {
      TakeBlock(response_.block());
    } else if (response_.notice().kind() == v1::NOTICE_KIND_LATE) {
      ++record_.late_blocks;
    } else if (response_.has_summary()) {
      record_.skipped_blocks = response_.summary().skipped_block_count();
      if (response_.summary().has_timing()) record_.timing = response_.summary().timing();
    }
    ReadOn();
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(&mu_);
    writing_ = false;
    if (!outgoing_.empty()) outgoing_.pop_front();
    if (!ok) outgoing_.clear();
    WriteNext();
  }

 private:
  void TakeOpened(const v1::WorldOpened& opened) {
    double fps = plan_.world.target_fps > 0 ? plan_.world.target_fps : opened.fps();
    if (fps > 0) block_period_ = absl::Seconds(opened.frames_per_block() / fps);
    SendAction();
  }

  void TakeBlock(const v1::Block& block) {
    const absl::Time now = options_.clock->Now();
    NoteArrival(now, block_period_);
    record_.frames += block.frames_size();
    NoteShown(block.applied_action_sequence(), now);
    const auto blocks = record_.arrivals.size();
    if (blocks >= static_cast<size_t>(plan_.world.blocks)) {
      SayGoodbye();
    } else if (plan_.world.pacing == v1::PACING_LOCKSTEP) {
      SendAction();
    } else {
      v1::StepWorldRequest credit;
      credit.mutable_credit()->set_blocks(1);
      Write(std::move(credit));
      SendActionAtSomeMoment(blocks);
    }
  }

  // What a block has shown: all actions up to its own.
  void NoteShown(int64_t sequence, absl::Time now) {
    MutexLock lock(&mu_);
    while (!unseen_.empty() && unseen_.front().first <= sequence) {
      record_.action_to_frame.push_back(now - unseen_.front().second);
      unseen_.pop_front();
    }
  }

  void SendAction() {
    v1::StepWorldRequest request;
    MutexLock lock(&mu_);
    const auto& actions = plan_.world.actions;
    if (!actions.empty()) *request.mutable_actions() = actions[sequence_ % actions.size()];
    request.mutable_actions()->set_sequence(++sequence_);
    unseen_.emplace_back(sequence_, options_.clock->Now());
    outgoing_.push_back(std::move(request));
    WriteNext();
  }

  void SendActionAtSomeMoment(uint64_t block) {
    {
      MutexLock lock(&mu_);
      if (stopped_ || std::exchange(alarm_set_, true)) return;
    }
    AddHold();
    const absl::Duration wait = block_period_ * Fraction(Draw(plan_.seed, Purpose::kScript, block));
    alarm_ = std::make_unique<grpc::Alarm>();
    alarm_->Set(absl::ToChronoTime(absl::Now() + wait), [this](bool rang) {
      {
        MutexLock lock(&mu_);
        alarm_set_ = false;
      }
      if (rang) SendAction();
      RemoveHold();
    });
  }

  void SayGoodbye() {
    MutexLock lock(&mu_);
    closing_ = true;
    WriteNext();
  }

  void Write(v1::StepWorldRequest request) {
    MutexLock lock(&mu_);
    outgoing_.push_back(std::move(request));
    WriteNext();
  }

  // gRPC wants one write at a time.
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writing_ || stopped_ || closed_) return;
    if (!outgoing_.empty()) {
      writing_ = true;
      StartWrite(&outgoing_.front());
    } else if (closing_) {
      closed_ = true;
      StartWritesDone();
    }
  }

  void Stop() {
    {
      MutexLock lock(&mu_);
      stopped_ = true;
    }
    RemoveHold();
  }

  const CallPlan plan_;
  std::unique_ptr<v1::WorldService::Stub> stub_;
  // A new one each time: the last one's callback may not have returned yet.
  std::unique_ptr<grpc::Alarm> alarm_;
  absl::Duration block_period_;

  Mutex mu_;
  std::deque<v1::StepWorldRequest> outgoing_ ABSL_GUARDED_BY(mu_);  // the first one is on its way
  std::deque<std::pair<int64_t, absl::Time>> unseen_ ABSL_GUARDED_BY(mu_);  // sequence, when sent
  int64_t sequence_ ABSL_GUARDED_BY(mu_) = 0;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool closing_ ABSL_GUARDED_BY(mu_) = false, closed_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  bool alarm_set_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace

void WorldCaller::Start(const CallPlan& plan, std::function<void(CallRecord)> done) {
  (new WorldCall(plan, options_, &live_, std::move(done)))->Start(connections_);
}

}  // namespace firstbyte

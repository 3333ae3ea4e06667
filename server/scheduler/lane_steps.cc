// Lane, from the choice of a step to what it made.

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "nlohmann/json.hpp"
#include "server/scheduler/lane.h"
#include "server/scheduler/open_session.h"

namespace firstbyte {

void Lane::Submit(const Quantum& quantum, const std::vector<OpenSession*>& sessions,
                  absl::Time round) {
  StepUnderWay step{.model = models_[quantum.model].get(),
                    .model_index = quantum.model,
                    .stage = quantum.stage,
                    .frames = quantum.frames,
                    .round = round};
  std::vector<Session*> batch;
  for (int index : quantum.sessions) {
    OpenSession& open = *sessions[index];
    batch.push_back(open.session.get());
    step.sessions.push_back(open.id);
    ++open.under_way;
    if (quantum.stage != Stage::kDecode) continue;
    open.frames_under_way = quantum.frames;
    open.request.port->Reserve(quantum.frames);
  }
  const StepUnderWay& submitted = under_way_.Submit(std::move(step), batch);
  if (watcher_ && submitted.number > 0) watcher_->OnSubmit(LaneStepOf(submitted));
}

// Waits for steps until no more are under way than may be, so that the device has one while the
// next is chosen; for one of them when nothing else is to do. False: none was under way.
bool Lane::FinishSteps(const std::optional<Quantum>& submitted) {
  if (under_way_.empty()) return false;
  if (!submitted) return FinishOldest(), true;
  const int may_stay = models_[submitted->model]->info().steps_under_way - 1;
  while (under_way_.size() > may_stay) FinishOldest();
  return true;
}

void Lane::FinishOldest() {
  const StepUnderWay step = under_way_.Wait();
  std::vector<OpenSession*> batch;
  for (SessionId id : step.sessions) {
    OpenSession& open = *sessions_.at(id);
    --open.under_way;
    if (step.stage == Stage::kDecode) open.frames_under_way = 0;
    batch.push_back(&open);
  }
  if (watcher_) watcher_->OnStep(LaneStepOf(step), step.status);
  if (options_.on_step && step.status.ok()) options_.on_step(LaneStepOf(step));
  if (step.status.ok()) {
    Tell(step, batch);
  } else if (absl::IsResourceExhausted(step.status)) {
    Shrink(step, batch);
  } else {
    LoseDevice(step.status);
  }
  for (SessionId id : step.sessions) {
    auto it = sessions_.find(id);
    if (it != sessions_.end() && it->second->ending) End(id, *it->second->ending);
  }
  ReportCost(step);
}

LaneStep Lane::LaneStepOf(const StepUnderWay& step) const {
  return {.lane = options_.index,
          .model = step.model_index,
          .info = step.model->info(),
          .stage = step.stage,
          .frames = step.frames,
          .sessions = step.sessions,
          .begin = step.begin,
          .end = step.end,
          .number = step.number};
}

// What a step made, to those whose it is.
void Lane::Tell(const StepUnderWay& step, const std::vector<OpenSession*>& batch) {
  Charge(step, batch);
  for (size_t i = 0; i < batch.size(); ++i) {
    OpenSession& open = *batch[i];
    open.paused = false;  // one that joined goes on until it is max_lead ahead again
    Account(open, step);
    if (open.ending) continue;
    if (!step.report.session_status[i].ok()) {
      End(open.id, step.report.session_status[i]);
      continue;
    }
    const int64_t begun = open.clauses_pushed - open.session->work().clauses_waiting;
    if (std::exchange(open.clauses_begun, begun) < begun) open.request.port->ClauseBegun();
    Publish(open);
  }
  if (watcher_) watcher_->OnStepTold();
}

// Nobody advanced, for want of memory.
void Lane::Shrink(const StepUnderWay& step, const std::vector<OpenSession*>& batch) {
  if (batch.size() == 1) {
    return End(batch[0]->id,
               Error(step.status.code(), {.reason = "NO_MEMORY"}, step.status.message()));
  }
  // The other half is chosen again by the next iterations.
  int& max_batch = max_batch_[step.model_index];
  max_batch = std::min(max_batch, static_cast<int>(batch.size() / 2));
  LogWarning("batch_halved", {{"model", step.model->info().name}, {"batch", max_batch}});
  for (OpenSession* open : batch) Publish(*open);  // returns the unused reservations
}

void Lane::Charge(const StepUnderWay& step, const std::vector<OpenSession*>& batch) {
  std::vector<RecentTime::Share> shares;
  for (const OpenSession* open : batch) shares.push_back({open->tenant, open->starting});
  const absl::Duration took = step.end - step.begin;
  recent_.Spend(shares, took);
  costs_.Observe(step.model_index, step.stage, step.frames, static_cast<int>(batch.size()), took);
}

void Lane::ReportCost(const StepUnderWay& step) {
  const absl::Time told = options_.clock->Now();
  if (!under_way_.empty()) under_way_.oldest().round = std::max(under_way_.oldest().round, told);
  const absl::Duration at_warm_up = costs_.PredictAtWarmUp(
      step.model_index, step.stage, step.frames, static_cast<int>(step.sessions.size()));
  if (options_.on_cost && at_warm_up > absl::ZeroDuration()) {
    options_.on_cost(at_warm_up, told - step.round);
  }
}

void Lane::Account(OpenSession& open, const StepUnderWay& step) {
  if (!open.first_step) {
    open.first_step = step.begin;
    open.running_since = step.begin;
    open.times.queue = step.begin - open.ready;
  }
  if (!open.running_since) open.running_since = step.begin;
  open.times.stage[static_cast<int>(step.stage)] += step.end - step.begin;
  open.times.steps += 1;
  open.times.batch_sum += static_cast<int>(step.sessions.size());
}

void Lane::Publish(OpenSession& open) {
  // The room that is set aside stays so until what it is for has come.
  if (open.frames_under_way > 0 || open.ending) return;
  TraceSpan span(options_.tracer, "publish");
  if (span) span->id = static_cast<int64_t>(open.id);
  Output output = open.session->Take();
  const bool media = output.block >= 0 || !output.samples.empty();
  if (media) open.request.seat.Started();
  if (media && watcher_) watcher_->OnMedia(open.id, output);
  if (output.block >= 0) {
    open.request.port->DeliverBlock(std::move(output), open.times);
  } else {
    open.request.port->Deliver(std::move(output), open.busy_since.value_or(absl::InfiniteFuture()));
  }
  const Work work = open.session->work();
  // Here, not only in View(): the next text may be among the commands that come before it.
  if (!open.busy(work)) open.busy_since.reset();
  if (work.done) End(open.id, absl::OkStatus());
}

}  // namespace firstbyte

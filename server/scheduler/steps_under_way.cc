#include "server/scheduler/steps_under_way.h"

#include <algorithm>
#include <utility>

#include "base/trace.h"

namespace firstbyte {
namespace {

void Describe(const StepUnderWay& step, Span* span) {
  span->SetLabel(step.model->info().name);
  span->batch = static_cast<int>(step.sessions.size());
  span->frames = step.frames;
}

}  // namespace

const StepUnderWay& StepsUnderWay::Submit(StepUnderWay step, absl::Span<Session* const> batch) {
  if (step.overlaps()) step.number = ++last_number_;
  // First, so that there is no memory to run out of once the step is under way.
  StepUnderWay& kept = steps_.emplace_back(std::move(step));
  TraceSpan span(tracer_, kept.overlaps() ? "submit" : StageName(kept.stage));
  if (span) Describe(kept, span.operator->());
  kept.begin = clock_->Now();
  kept.ticket = kept.model->Submit(kept.stage, batch, kept.frames);
  return kept;
}

StepUnderWay StepsUnderWay::Wait() {
  StepUnderWay step = std::move(steps_.front());
  steps_.pop_front();
  step.status = step.model->Wait(*step.ticket, &step.report);
  step.end = clock_->Now();
  if (!steps_.empty()) oldest().begin = std::max(oldest().begin, step.end);
  if (step.overlaps()) Trace(step);
  return step;
}

void StepsUnderWay::Drop() {
  while (!steps_.empty()) {
    if (steps_.front().ticket) {
      Wait();
    } else {
      steps_.pop_front();  // Submit() did not return
    }
  }
}

// As long as the device had it; the thread was elsewhere meanwhile.
void StepsUnderWay::Trace(const StepUnderWay& step) const {
  if (tracer_ == nullptr || !tracer_->on()) return;
  Span span{.name = StageName(step.stage), .begin = step.begin, .end = step.end, .apart = true};
  Describe(step, &span);
  tracer_->Record(span);
}

}  // namespace firstbyte

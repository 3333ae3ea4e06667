#include "client/loadgen/runner.h"

#include <algorithm>
#include <chrono>
#include <queue>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/mutex.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kRetryAfterError = absl::Milliseconds(200);
constexpr absl::Duration kProgressPeriod = absl::Seconds(1);
constexpr absl::Duration kGoneAfter = absl::Seconds(2);  // a restart takes less
// Where `min_calls` make a run longer: so many durations, or this if that is more.
constexpr int kLongest = 10;
constexpr absl::Duration kLongEnough = absl::Minutes(1);

absl::Time Now() { return Clock::Steady().Now(); }

// The server did not say this: gRPC did, because there is no connection.
bool LostConnection(const CallRecord& record) {
  return record.status.code() == absl::StatusCode::kUnavailable && !record.abandoned &&
         DetailOf(record.status).reason == "UNAVAILABLE";
}

class Runner {
 public:
  Runner(const LoadOptions& options, const Workload& workload, Caller* caller,
         const RunCallbacks& callbacks)
      : options_(options),
        workload_(workload),
        caller_(caller),
        callbacks_(callbacks),
        open_loop_(options.level.mode == LoadMode::kQps),
        arrivals_(options.arrival, options.level.amount, options.seed, options.trace) {
    tally_.rules = {options.jitter_buffer, options.ttfb_target, open_loop_};
  }

  Tally Run() {
    begin_ = Now();
    measure_from_ = begin_ + options_.warmup;
    stop_at_ = measure_from_ + options_.duration;
    if (options_.min_calls > 0) {
      stop_at_ = measure_from_ + std::max(options_.duration * kLongest, kLongEnough);
    }
    ScheduleFirst();
    absl::Time next_progress = begin_ + kProgressPeriod;
    while (!due_.empty() || in_flight_ > 0) {
      StartDue();
      if (due_.empty() && in_flight_ == 0) break;
      CancelWhatDoesNotEnd();
      absl::Time wake = due_.empty() ? next_progress : std::min(due_.top().at, next_progress);
      for (CallRecord& record : WaitForFinished(wake)) Finish(record);
      if (Now() < next_progress) continue;
      next_progress += kProgressPeriod;
      if (!callbacks_.on_progress({Now() - begin_, in_flight_, &tally_})) StopNow();
      if (lost_since_ != absl::InfiniteFuture() && Now() - lost_since_ > kGoneAfter) StopNow();
    }
    tally_.server_gone = lost_since_ != absl::InfiniteFuture();
    tally_.wall_seconds = absl::ToDoubleSeconds(
        std::max(std::min(last_end_, stop_at_) - measure_from_, absl::ZeroDuration()));
    return std::move(tally_);
  }

 private:
  struct Due {
    absl::Time at;
    int stream;
    bool operator<(const Due& other) const { return at > other.at; }  // earliest on top
  };

  void ScheduleFirst() {
    if (open_loop_) return ScheduleArrival(0);
    const int count = static_cast<int>(options_.level.amount);
    turns_.assign(count, 0);
    for (int i = 0; i < count; ++i) due_.push({begin_ + options_.warmup * i / count, i});
  }

  void ScheduleArrival(int stream) {
    const absl::Duration at = arrivals_.Next();
    if (at < absl::InfiniteDuration()) due_.push({begin_ + at, stream});
  }

  void StopNow() { stop_at_ = std::min(stop_at_, Now()); }

  void StartDue() {
    while (!due_.empty() && due_.top().at <= Now()) {
      Due due = due_.top();
      due_.pop();
      if (due.at >= stop_at_) continue;
      if (open_loop_) ScheduleArrival(due.stream + 1);
      Start(due);
    }
    if (Now() >= stop_at_) due_ = {};
  }

  void Start(const Due& due) {
    CallPlan plan;
    plan.id = next_id_++;
    plan.stream = due.stream;
    plan.scheduled = due.at;
    workload_.Fill(open_loop_ ? 0 : turns_[due.stream]++, &plan);
    ++in_flight_;
    caller_->Start(plan, [this](CallRecord record) {
      MutexLock lock(&mu_);
      finished_.push_back(std::move(record));
      changed_.NotifyOne();
    });
  }

  void CancelWhatDoesNotEnd() {
    if (Now() < stop_at_ + options_.drain_timeout || std::exchange(cancelled_, true)) return;
    caller_->CancelAll();
  }

  std::vector<CallRecord> WaitForFinished(absl::Time until) {
    MutexLock lock(&mu_);
    while (finished_.empty()) {
      absl::Duration left = until - Now();
      if (left <= absl::ZeroDuration()) break;
      changed_.WaitFor(&mu_, absl::ToChronoNanoseconds(left));
    }
    return std::exchange(finished_, {});
  }

  void Finish(const CallRecord& record) {
    --in_flight_;
    NoteConnection(record);
    tally_.NoteTiming(record);
    tally_.NoteArrivals(record, measure_from_, stop_at_);
    if (record.scheduled >= measure_from_) {
      tally_.Add(record);
      callbacks_.on_record(record, begin_);
      last_end_ = std::max(last_end_, record.end);
      NoteEnough(record.end);
    }
    // Not before this one was due, whatever clock its times are of.
    if (!open_loop_) due_.push({std::max(NextStart(record), record.scheduled), record.stream});
  }

  void NoteEnough(absl::Time now) {
    if (tally_.calls == options_.max_calls) stop_at_ = std::min(stop_at_, now);
    if (options_.min_calls > 0 && tally_.calls >= options_.min_calls) {
      stop_at_ = std::min(stop_at_, std::max(now, measure_from_ + options_.duration));
    }
  }

  void NoteConnection(const CallRecord& record) {
    if (LostConnection(record)) {
      ++tally_.lost_connections;
      lost_since_ = std::min(lost_since_, record.end);
    } else if (record.start > lost_since_) {
      tally_.server_came_back = true;
      lost_since_ = absl::InfiniteFuture();
    }
  }

  absl::Time NextStart(const CallRecord& record) const {
    if (!record.status.ok() && !record.abandoned) {
      return record.end + DetailOf(record.status).retry_after.value_or(kRetryAfterError);
    }
    if (options_.level.mode == LoadMode::kConcurrency || record.arrivals.empty()) return record.end;
    return std::max(record.end, SimulatePlayback(record.arrivals, options_.jitter_buffer).end);
  }

  const LoadOptions& options_;
  const Workload& workload_;
  Caller* const caller_;
  const RunCallbacks& callbacks_;
  const bool open_loop_;
  ArrivalProcess arrivals_;

  absl::Time begin_, measure_from_, stop_at_;
  absl::Time last_end_ = absl::InfinitePast();
  absl::Time lost_since_ = absl::InfiniteFuture();  // no answer since
  std::priority_queue<Due> due_;
  std::vector<int> turns_;  // [stream] calls begun
  int64_t next_id_ = 0, in_flight_ = 0;
  bool cancelled_ = false;
  Tally tally_;

  Mutex mu_;
  CondVar changed_;
  std::vector<CallRecord> finished_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

Tally RunLoad(const LoadOptions& options, const Workload& workload, Caller* caller,
              const RunCallbacks& callbacks) {
  return Runner(options, workload, caller, callbacks).Run();
}

}  // namespace firstbyte

#include "client/loadgen/runner.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <queue>
#include <utility>

#include <grpcpp/create_channel.h>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mutex.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(5);
constexpr absl::Duration kRetryAfterError = absl::Milliseconds(200);
constexpr absl::Duration kProgressPeriod = absl::Seconds(1);
constexpr int kClosedLoopLeadSeconds = 3600;  // nobody listens: the server need not pace the audio

absl::Time Now() { return Clock::Steady().Now(); }

class Runner {
 public:
  Runner(const LoadOptions& options, const Workload& workload)
      : options_(options), workload_(workload), config_(options.config) {
    if (options.concurrency > 0) {
      config_.mutable_chunking()->mutable_max_lead_duration()->set_seconds(kClosedLoopLeadSeconds);
    }
  }

  absl::Status Connect() {
    for (int i = 0; i < std::max(options_.channels, 1); ++i) {
      grpc::ChannelArguments arguments;
      arguments.SetInt("firstbyte.loadgen.channel", i);  // else gRPC shares one connection
      auto channel =
          grpc::CreateCustomChannel(options_.target, grpc::InsecureChannelCredentials(), arguments);
      if (!channel->WaitForConnected(absl::ToChronoTime(absl::Now() + kConnectTimeout))) {
        return absl::UnavailableError(absl::StrCat("nothing answers at ", options_.target));
      }
      stubs_.push_back(v1::SpeechService::NewStub(channel));
    }
    return absl::OkStatus();
  }

  Tally Run(const std::function<bool(const Progress&)>& on_progress) {
    const absl::Time begin = Now();
    measure_from_ = begin + options_.warmup;
    stop_at_ = measure_from_ + options_.duration;
    ScheduleFirst(begin);
    absl::Time next_progress = begin + kProgressPeriod;
    while (!due_.empty() || in_flight_ > 0) {
      StartDue();
      absl::Time wake = due_.empty() ? next_progress : std::min(due_.top().at, next_progress);
      for (Finished& finished : WaitForFinished(wake)) Finish(finished);
      if (Now() < next_progress) continue;
      next_progress += kProgressPeriod;
      if (!on_progress({Now() - begin, in_flight_, &tally_})) stop_at_ = Now();
    }
    tally_.wall_seconds = absl::ToDoubleSeconds(
        std::max(std::max(last_end_, measure_from_) - measure_from_, absl::ZeroDuration()));
    return std::move(tally_);
  }

 private:
  struct Due {
    absl::Time at;
    int listener;
    bool operator<(const Due& other) const { return at > other.at; }  // earliest on top
  };
  struct Finished {
    int listener;
    absl::Duration lateness;
    CallRecord record;
  };

  void ScheduleFirst(absl::Time begin) {
    int count = std::max(options_.listeners, options_.concurrency);
    turns_.assign(count, 0);
    for (int i = 0; i < count; ++i) due_.push({begin + options_.warmup * i / count, i});
  }

  void StartDue() {
    while (!due_.empty() && due_.top().at <= Now()) {
      Due due = due_.top();
      due_.pop();
      if (due.at >= stop_at_) continue;
      Start(due);
    }
    if (Now() >= stop_at_) due_ = {};
  }

  void Start(const Due& due) {
    int turn = turns_[due.listener]++;
    v1::SynthesizeConfig config = config_;
    config.mutable_sampling()->set_seed(workload_.SpeechSeed(due.listener, turn));
    ++in_flight_;
    absl::Duration lateness = Now() - due.at;
    StartSpeechCall(stubs_[due.listener % stubs_.size()].get(), config,
                    workload_.Text(due.listener, turn), options_.call_timeout,
                    [this, listener = due.listener, lateness](CallRecord record) {
                      MutexLock lock(&mu_);
                      finished_.push_back({listener, lateness, std::move(record)});
                      changed_.NotifyOne();
                    });
  }

  std::vector<Finished> WaitForFinished(absl::Time until) {
    MutexLock lock(&mu_);
    while (finished_.empty()) {
      absl::Duration left = until - Now();
      if (left <= absl::ZeroDuration()) break;
      changed_.WaitFor(&mu_, absl::ToChronoNanoseconds(left));
    }
    return std::exchange(finished_, {});
  }

  void Finish(Finished& finished) {
    --in_flight_;
    const CallRecord& record = finished.record;
    if (record.start >= measure_from_) {
      tally_.Add(record, finished.lateness, options_.jitter_buffer);
      last_end_ = std::max(last_end_, record.end);
      if (tally_.calls == options_.max_calls) stop_at_ = std::min(stop_at_, record.end);
    }
    due_.push({NextStart(record), finished.listener});
  }

  absl::Time NextStart(const CallRecord& record) const {
    if (!record.status.ok()) {
      return record.end + DetailOf(record.status).retry_after.value_or(kRetryAfterError);
    }
    if (options_.concurrency > 0 || record.arrivals.empty()) return record.end;
    return SimulatePlayback(record.arrivals, options_.jitter_buffer).end;
  }

  const LoadOptions& options_;
  const Workload& workload_;
  v1::SynthesizeConfig config_;
  std::vector<std::unique_ptr<v1::SpeechService::Stub>> stubs_;

  absl::Time measure_from_, stop_at_;
  absl::Time last_end_ = absl::InfinitePast();
  std::priority_queue<Due> due_;
  std::vector<int> turns_;  // [listener] texts begun
  int64_t in_flight_ = 0;
  Tally tally_;

  Mutex mu_;
  CondVar changed_;
  std::vector<Finished> finished_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::StatusOr<Tally> RunLoad(const LoadOptions& options, const Workload& workload,
                              const std::function<bool(const Progress&)>& on_progress) {
  Runner runner(options, workload);
  if (auto status = runner.Connect(); !status.ok()) return status;
  return runner.Run(on_progress);
}

}  // namespace firstbyte

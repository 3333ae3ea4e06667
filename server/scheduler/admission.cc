#include "server/scheduler/admission.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kFirstGuess = absl::Seconds(1);  // of how long a seat is held
constexpr int kHoldWindow = 16;                           // seats that make its mean
constexpr int kHandful = 8;  // share steps as well as more would, and may do so on any machine
constexpr absl::Duration kLeastDelay = absl::Milliseconds(10);
constexpr absl::Duration kMostDelay = absl::Seconds(30);

// When one that is refused `now` may come: `first` from now, but `each` after the one before it.
absl::Duration Promise(absl::Time* promised, absl::Time now, absl::Duration first,
                       absl::Duration each) {
  *promised = std::max(*promised + each, now + first);
  *promised = std::min(*promised, now + kMostDelay);
  return std::max(*promised - now, kLeastDelay);
}

absl::Status Refusal(const char* reason, absl::Duration retry_after, const std::string& message) {
  return Error(absl::StatusCode::kResourceExhausted, {.reason = reason, .retry_after = retry_after},
               absl::StrCat(message, "; retry after the given delay"));
}

SessionLoad SessionOf(const AdmissionRequest& request) {
  return {.model = request.model,
          .pace = request.pace,
          .encoding = request.encoding,
          .catches_up = request.promises_first_byte};
}

absl::Status UnloadingError() {
  return Error(
      absl::StatusCode::kUnavailable,
      {.reason = "MODEL_UNLOADING", .retry_after = absl::Seconds(1)},
      "this model finishes its streams to be unloaded; who comes later has it loaded again");
}

}  // namespace

absl::Status DrainingError() {
  return Error(absl::StatusCode::kUnavailable,
               {.reason = "DRAINING", .retry_after = absl::Milliseconds(500)},
               "this server is shutting down; try another replica");
}

// ---- Seats. ----

Seat& Seat::operator=(Seat&& other) noexcept {
  Release();
  ledger_ = std::exchange(other.ledger_, nullptr);
  request_ = std::move(other.request_);
  lane_ = other.lane_;
  since_ = other.since_;
  planned_ttfb_ = other.planned_ttfb_;
  start_ = other.start_;
  started_ = other.started_;
  return *this;
}

void Seat::Release() {
  if (ledger_ != nullptr) std::exchange(ledger_, nullptr)->GiveBack(*this);
}

void Seat::Started() {
  if (ledger_ != nullptr && !std::exchange(started_, true)) ledger_->Started(*this);
}

// ---- The ledger. ----

AdmissionLedger::AdmissionLedger(std::vector<std::vector<int>> slots, AdmissionLimits limits)
    : slots_(std::move(slots)), limits_(limits) {
  const size_t lanes = slots_.empty() ? 0 : slots_[0].size();
  lanes_.assign(lanes, LaneLoad(static_cast<int>(slots_.size())));
  promised_seats_.assign(lanes, absl::InfinitePast());
  promised_starts_.assign(lanes, absl::InfinitePast());
  mean_hold_.assign(slots_.size(), kFirstGuess);
  closing_.resize(slots_.size());
}

void AdmissionLedger::SetCost(int model, int lane, const SessionCost& cost) {
  MutexLock lock(&mu_);
  lanes_[lane].SetCost(model, cost);
}

void AdmissionLedger::ObserveStep(int lane, absl::Duration predicted, absl::Duration took) {
  MutexLock lock(&mu_);
  lanes_[lane].ObserveStep(predicted, took);
}

void AdmissionLedger::ObserveStart(int lane, absl::Duration planned, absl::Duration took) {
  const absl::Time now = limits_.clock->Now();
  MutexLock lock(&mu_);
  lanes_[lane].ObserveStart(planned, took, now);
}

void AdmissionLedger::ObserveCatchingUp(int lane, absl::Span<const int> by_model) {
  MutexLock lock(&mu_);
  lanes_[lane].ObserveCatchingUp(by_model);
}

absl::StatusOr<Seat> AdmissionLedger::Admit(const AdmissionRequest& request) {
  const absl::Time now = limits_.clock->Now();
  MutexLock lock(&mu_);
  if (draining_) return DrainingError();
  if (closing_[request.model].closed) return UnloadingError();
  const int lane = LeastLoaded(request);
  if (absl::Status status = TestLoad(request, lane, now); !status.ok()) return status;
  const absl::Duration planned = lanes_[lane].PlanTtfb(request.model, limits_.max_step, now);
  if (absl::Status status = TestStart(request, lane, planned, now); !status.ok()) return status;
  if (absl::Status status = TestRoom(request, lane, now); !status.ok()) return status;
  ++tenants_[request.tenant];
  bytes_ += request.bytes;
  Seat seat;
  seat.ledger_ = this;
  seat.request_ = request;
  seat.lane_ = lane;
  seat.since_ = now;
  seat.planned_ttfb_ = planned;
  seat.start_ = lanes_[lane].Add(SessionOf(request), now);
  return seat;
}

bool AdmissionLedger::TooManyCatchUp(const AdmissionRequest& request, int lane) const {
  const LaneLoad& load = lanes_[lane];
  return request.promises_first_byte && limits_.max_catching_up > 0 &&
         load.catching_up() >= kHandful &&
         load.CatchingUpWith(request.model) > limits_.max_catching_up;
}

// Of the lanes with a free slot, and of those where not too many catch up, while there is one.
int AdmissionLedger::LeastLoaded(const AdmissionRequest& request) const {
  const std::vector<int>& slots = slots_[request.model];
  auto rank = [&](int lane) {
    const LaneLoad& load = lanes_[lane];
    const bool full = load.sessions(request.model) >= slots[lane];
    return std::make_tuple(full, TooManyCatchUp(request, lane), load.LoadWith(SessionOf(request)),
                           load.sessions());
  };
  int best = 0;
  for (int lane = 1; lane < static_cast<int>(slots.size()); ++lane) {
    if (rank(lane) < rank(best)) best = lane;
  }
  return best;
}

absl::Status AdmissionLedger::TestLoad(const AdmissionRequest& request, int lane, absl::Time now) {
  const int model = request.model;
  if (limits_.max_streams_per_tenant > 0) {
    const auto held = tenants_.find(request.tenant);
    if (held != tenants_.end() && held->second >= limits_.max_streams_per_tenant) {
      return Refusal(
          "TENANT_QUOTA", std::max(kLeastDelay, mean_hold_[model] / held->second),
          absl::StrCat("a tenant may have ", limits_.max_streams_per_tenant, " streams at once"));
    }
  }
  const LaneLoad& load = lanes_[lane];
  if (limits_.max_load > 0 && load.LoadWith(SessionOf(request)) > limits_.max_load &&
      load.sessions() > 0) {
    return Refusal("OVERLOAD", NextSeatBack(model, lane, load.sessions(), now),
                   absl::StrFormat("the sessions here already need %.0f %% of the time there is",
                                   100 * load.load()));
  }
  if (TooManyCatchUp(request, lane)) {
    return Refusal("OVERLOAD", NextSeatBack(model, lane, load.sessions(), now),
                   "too many listeners here are not yet far ahead of what they hear");
  }
  return absl::OkStatus();
}

// `planned`: LaneLoad::PlanTtfb().
absl::Status AdmissionLedger::TestStart(const AdmissionRequest& request, int lane,
                                        absl::Duration planned, absl::Time now) {
  const LaneLoad& load = lanes_[lane];
  const absl::Duration ttfb = planned * load.Lateness(now);
  // For the only one that starts, waiting changes what others cost it, not what it costs itself.
  auto too_late = [&](absl::Duration limit) {
    return ttfb > limit && (load.starting() || planned <= limit);
  };
  auto retry = [&](absl::Duration limit) {
    return Promise(&promised_starts_[lane], now, ttfb - limit, limits_.max_step);
  };
  auto first_byte = [&] {
    return absl::StrFormat("the first byte would take %.0f ms", absl::ToDoubleMilliseconds(ttfb));
  };
  if (request.promises_first_byte && limits_.max_ttfb > absl::ZeroDuration() &&
      too_late(limits_.max_ttfb)) {
    return Refusal("TTFB_TARGET", retry(limits_.max_ttfb), first_byte());
  }
  if (too_late(request.time_left)) {
    return Refusal("DEADLINE_TOO_SHORT", retry(request.time_left),
                   absl::StrCat(first_byte(), ", more than the deadline allows"));
  }
  return absl::OkStatus();
}

absl::Status AdmissionLedger::TestRoom(const AdmissionRequest& request, int lane, absl::Time now) {
  const int model = request.model;
  const LaneLoad& load = lanes_[lane];
  if (load.sessions(model) >= slots_[model][lane]) {
    return Refusal("NO_SLOT", NextSeatBack(model, lane, load.sessions(model), now),
                   "all slots of this model are taken");
  }
  if (limits_.max_bytes > 0 && bytes_ + request.bytes > limits_.max_bytes) {
    return Refusal("NO_MEMORY", NextSeatBack(model, lane, std::max(1, load.sessions()), now),
                   "the streams here already hold all the memory they may");
  }
  return absl::OkStatus();
}

// `held` seats, each for mean_hold_ from some moment on: one comes back every mean / held.
absl::Duration AdmissionLedger::NextSeatBack(int model, int lane, int held, absl::Time now) {
  const absl::Duration each = mean_hold_[model] / held;
  return Promise(&promised_seats_[lane], now, each, each);
}

void AdmissionLedger::StartDraining() {
  MutexLock lock(&mu_);
  draining_ = true;
}

bool AdmissionLedger::draining() const {
  MutexLock lock(&mu_);
  return draining_;
}

void AdmissionLedger::Close(int model, std::function<void()> idle) {
  std::function<void()> now;
  {
    MutexLock lock(&mu_);
    closing_[model] = {.closed = true, .idle = std::move(idle)};
    now = TakeIdle(model);
  }
  if (now) now();
}

bool AdmissionLedger::CancelClose(int model) {
  MutexLock lock(&mu_);
  if (!closing_[model].idle) return false;
  closing_[model] = {};
  return true;
}

void AdmissionLedger::Open(int model) {
  MutexLock lock(&mu_);
  closing_[model] = {};
}

int AdmissionLedger::Held(int model) const {
  int held = 0;
  for (const LaneLoad& lane : lanes_) held += lane.sessions(model);
  return held;
}

// What to call, without the lock, now that a seat of the model may have been the last.
std::function<void()> AdmissionLedger::TakeIdle(int model) {
  if (!closing_[model].idle || Held(model) > 0) return nullptr;
  return std::exchange(closing_[model].idle, nullptr);
}

AdmissionLedger::Usage AdmissionLedger::usage(int model) const {
  MutexLock lock(&mu_);
  return {.used = Held(model),
          .total = std::accumulate(slots_[model].begin(), slots_[model].end(), 0)};
}

AdmissionLedger::Usage AdmissionLedger::usage(int model, int lane) const {
  MutexLock lock(&mu_);
  return {.used = lanes_[lane].sessions(model), .total = slots_[model][lane]};
}

double AdmissionLedger::load(int lane) const {
  MutexLock lock(&mu_);
  return lanes_[lane].load();
}

void AdmissionLedger::GiveBack(const Seat& seat) {
  const AdmissionRequest& request = seat.request_;
  const absl::Duration held = limits_.clock->Now() - seat.since_;
  std::function<void()> idle;
  {
    MutexLock lock(&mu_);
    lanes_[seat.lane_].Remove(SessionOf(request), seat.start_);
    mean_hold_[request.model] += (held - mean_hold_[request.model]) / kHoldWindow;
    bytes_ -= request.bytes;
    auto tenant = tenants_.find(request.tenant);
    if (--tenant->second == 0) tenants_.erase(tenant);
    idle = TakeIdle(request.model);
  }
  if (idle) idle();
}

void AdmissionLedger::Started(const Seat& seat) {
  MutexLock lock(&mu_);
  lanes_[seat.lane_].Started(seat.start_);
}

}  // namespace firstbyte

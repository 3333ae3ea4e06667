#include "server/scheduler/admission.h"

#include <numeric>
#include <utility>

#include "base/error.h"

namespace firstbyte {
namespace {

// Until measured queueing says better (issue 6): about the length of a short sentence.
constexpr absl::Duration kRetryAfter = absl::Milliseconds(500);

}  // namespace

absl::Status DrainingError() {
  return Error(absl::StatusCode::kUnavailable, {.reason = "DRAINING", .retry_after = kRetryAfter},
               "this server is shutting down; try another replica");
}

Seat& Seat::operator=(Seat&& other) noexcept {
  Release();
  ledger_ = std::exchange(other.ledger_, nullptr);
  model_ = other.model_;
  lane_ = other.lane_;
  return *this;
}

void Seat::Release() {
  if (ledger_ != nullptr) std::exchange(ledger_, nullptr)->GiveBack(model_, lane_);
}

AdmissionLedger::AdmissionLedger(std::vector<std::vector<int>> slots) : slots_(std::move(slots)) {
  for (const auto& lanes : slots_) used_.emplace_back(lanes.size(), 0);
}

absl::StatusOr<Seat> AdmissionLedger::Admit(int model) {
  MutexLock lock(&mu_);
  if (draining_) return DrainingError();
  const std::vector<int>& slots = slots_[model];
  std::vector<int>& used = used_[model];
  int best = -1;
  for (int lane = 0; lane < static_cast<int>(slots.size()); ++lane) {
    if (used[lane] < slots[lane] && (best < 0 || used[lane] < used[best])) best = lane;
  }
  if (best < 0) {
    return Error(absl::StatusCode::kResourceExhausted,
                 {.reason = "NO_SLOT", .retry_after = kRetryAfter},
                 "all slots of this model are taken; retry after the given delay");
  }
  ++used[best];
  return Seat(this, model, best);
}

void AdmissionLedger::StartDraining() {
  MutexLock lock(&mu_);
  draining_ = true;
}

bool AdmissionLedger::draining() const {
  MutexLock lock(&mu_);
  return draining_;
}

AdmissionLedger::Usage AdmissionLedger::usage(int model) const {
  MutexLock lock(&mu_);
  return {.used = std::accumulate(used_[model].begin(), used_[model].end(), 0),
          .total = std::accumulate(slots_[model].begin(), slots_[model].end(), 0)};
}

void AdmissionLedger::GiveBack(int model, int lane) {
  MutexLock lock(&mu_);
  --used_[model][lane];
}

}  // namespace firstbyte

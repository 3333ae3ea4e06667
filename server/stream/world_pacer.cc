#include "server/stream/world_pacer.h"

#include <algorithm>

namespace firstbyte {
namespace {

constexpr size_t kRecentBlocks = 64;
constexpr size_t kEnoughBlocks = 8;  // before these begin as early as they may
constexpr absl::Duration kReserve = absl::Milliseconds(2);
// A player who steps by hand notices this much; a deadline of zero would let one that steps as fast
// as it can make every REALTIME player late.
constexpr absl::Duration kLockstepTarget = absl::Milliseconds(15);

}  // namespace

absl::Duration WorldPacer::Margin() const {
  if (recent_.size() < kEnoughBlocks) return period_;
  std::vector<absl::Duration> sorted = recent_;
  const auto p95 = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() * 95 / 100);
  std::nth_element(sorted.begin(), p95, sorted.end());
  return std::min(period_, *p95 + kReserve);
}

absl::Time WorldPacer::start() const {
  if (pacing_ != Pacing::kRealtime || !started_) return absl::InfinitePast();
  return last_due_ + period_ - Margin();
}

WorldPacer::Begun WorldPacer::Begin(absl::Time now) {
  if (pacing_ == Pacing::kLockstep) return {.due = now + kLockstepTarget};
  if (pacing_ == Pacing::kFreeRun) return {.due = now + period_};
  Begun begun{.due = last_due_ + period_};
  if (!started_) {
    begun.due = now + period_;
  } else if (starved_ && now > start()) {
    begun.due = std::max(begun.due, now + Margin());
  } else if (now >= begun.due) {
    begun.skipped = static_cast<int>((now - begun.due) / period_) + 1;
    begun.due += begun.skipped * period_;
  }
  started_ = true;
  starved_ = false;
  last_due_ = begun.due;
  return begun;
}

void WorldPacer::Finished(absl::Duration took) {
  if (recent_.size() < kRecentBlocks) {
    recent_.push_back(took);
    return;
  }
  recent_[oldest_] = took;
  oldest_ = (oldest_ + 1) % kRecentBlocks;
}

absl::Time WorldPacer::NextDue(absl::Time now) const {
  if (pacing_ == Pacing::kRealtime && started_) return start();
  return now + (pacing_ == Pacing::kLockstep ? kLockstepTarget : period_);
}

}  // namespace firstbyte

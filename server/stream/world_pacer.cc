#include "server/stream/world_pacer.h"

#include <algorithm>

namespace firstbyte {
namespace {

constexpr size_t kRecentBlocks = 512;  // half a minute of play
constexpr size_t kEnoughBlocks = 32;   // before these begin as early as they may
// A share of the period, for what none of the recent blocks has met: a lane that loses its core.
constexpr int kReserveShare = 5;
// A player who steps by hand notices this much; a deadline of zero would let one that steps as fast
// as it can make every REALTIME player late.
constexpr absl::Duration kLockstepTarget = absl::Milliseconds(15);

}  // namespace

absl::Time WorldPacer::start() const {
  if (pacing_ != Pacing::kRealtime || !started_) return absl::InfinitePast();
  return last_due_ + period_ - (knows_enough() ? margin_ : period_);
}

bool WorldPacer::knows_enough() const { return recent_.size() >= kEnoughBlocks; }

absl::Duration WorldPacer::Margin(absl::Duration longest) const {
  return std::min(period_, longest + period_ / kReserveShare);
}

WorldPacer::Begun WorldPacer::Begin(absl::Time now) {
  if (pacing_ == Pacing::kLockstep) return {.at = now, .due = now + kLockstepTarget};
  if (pacing_ == Pacing::kFreeRun) return {.at = now, .due = now + period_};
  Begun begun{.at = now, .due = last_due_ + period_};
  if (!started_) {
    begun.due = now + margin_;
    begun.restarts = true;
  } else if (starved_ && now > start()) {
    begun.due = std::max(begun.due, now + margin_);
    begun.restarts = true;
  } else if (now >= begun.due) {
    begun.skipped = static_cast<int>((now - begun.due) / period_) + 1;
    begun.due += begun.skipped * period_;
  }
  started_ = true;
  starved_ = false;
  last_due_ = begun.due;
  return begun;
}

bool WorldPacer::Finished(const Begun& begun, absl::Time now) {
  if (pacing_ != Pacing::kRealtime) return false;
  Learn(now - begun.at);
  if (begun.restarts || !shown_) shown_ = now + period_;
  const bool late = now > *shown_;
  shown_ = (late ? now : *shown_) + period_;
  return late;
}

void WorldPacer::Learn(absl::Duration took) {
  if (recent_.size() < kRecentBlocks) {
    recent_.push_back(took);
  } else {
    recent_[oldest_] = took;
    oldest_ = (oldest_ + 1) % kRecentBlocks;
  }
  if (knows_enough()) margin_ = Margin(*std::max_element(recent_.begin(), recent_.end()));
}

absl::Time WorldPacer::NextDue(absl::Time now) const {
  if (pacing_ == Pacing::kRealtime && started_) return start();
  return now + (pacing_ == Pacing::kLockstep ? kLockstepTarget : period_);
}

}  // namespace firstbyte

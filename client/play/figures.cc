#include "client/play/figures.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/proto_time.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kRecent = absl::Seconds(1);

// Nearest rank; `values` sorted and not empty.
double Percentile(const std::vector<double>& values, double p) {
  return values[static_cast<size_t>(p * static_cast<double>(values.size() - 1) + 0.5)];
}

}  // namespace

void PlayFigures::Sent(int64_t sequence, absl::Time now) {
  MutexLock lock(&mu_);
  sent_[sequence] = now;
}

void PlayFigures::Received(const v1::Block& block, absl::Time now) {
  MutexLock lock(&mu_);
  if (blocks_++ == 0) first_ = now;
  frames_ += block.frames_size();
  last_ = now;
  now_.block = block.index();
  if (block.frames_size() == 0) return;
  recent_.insert(recent_.end(), block.frames_size(), now);
  while (recent_.front() <= now - kRecent) recent_.pop_front();
  auto shown_end = sent_.upper_bound(block.applied_action_sequence());
  if (shown_end == sent_.begin()) return;
  now_.action_to_frame_ms = absl::ToDoubleMilliseconds(now - std::prev(shown_end)->second);
  action_to_frame_ms_.push_back(now_.action_to_frame_ms);
  sent_.erase(sent_.begin(), shown_end);
  if (block.timing().has_first_byte_duration()) {
    now_.network_ms = std::max(
        0.0, now_.action_to_frame_ms -
                 absl::ToDoubleMilliseconds(FromProto(block.timing().first_byte_duration())));
  }
}

void PlayFigures::Skipped(int64_t total) {
  MutexLock lock(&mu_);
  now_.late = std::max(now_.late, total);
}

PlayFigures::Now PlayFigures::now(absl::Time time) const {
  MutexLock lock(&mu_);
  Now now = now_;
  auto since = std::upper_bound(recent_.begin(), recent_.end(), time - kRecent);
  now.frames_per_second = static_cast<double>(recent_.end() - since);
  return now;
}

std::string PlayFigures::Summary(double fps) const {
  MutexLock lock(&mu_);
  std::string line = absl::StrFormat("%d blocks", blocks_);
  if (fps > 0)
    absl::StrAppendFormat(&line, ", %.1f s of world", static_cast<double>(frames_) / fps);
  const double seconds = absl::ToDoubleSeconds(last_ - first_);
  if (blocks_ > 1 && seconds > 0) {
    const double after_first =
        static_cast<double>(frames_) * (1 - 1.0 / static_cast<double>(blocks_));
    absl::StrAppendFormat(&line, ", %.1f frames/s", after_first / seconds);
  }
  if (!action_to_frame_ms_.empty()) {
    std::vector<double> sorted = action_to_frame_ms_;
    std::sort(sorted.begin(), sorted.end());
    absl::StrAppendFormat(&line, "; action to frame p50 %.1f ms, p95 %.1f ms",
                          Percentile(sorted, 0.5), Percentile(sorted, 0.95));
  }
  return absl::StrCat(line, "; ", now_.late, " late");
}

}  // namespace firstbyte

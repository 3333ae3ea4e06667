// The way out of a stream: messages in order, bounded in bytes with room set aside before the work
// that fills it is scheduled; then, exactly once, a summary if all went well, and the end.
//
// Not thread-safe.
#pragma once

#include <deque>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "server/stream/stream_observer.h"

namespace firstbyte {

template <typename Message>
class Outbox {
 public:
  // `observer` hears of every byte that comes and goes.
  Outbox(int64_t capacity, StreamObserver* observer) : capacity_(capacity), observer_(observer) {}

  void set_capacity(int64_t bytes) { capacity_ = bytes; }
  // Bytes neither used nor reserved.
  int64_t room() const { return capacity_ - used_ - reserved_; }
  int64_t used() const { return used_; }
  size_t messages() const { return entries_.size(); }
  void Reserve(int64_t bytes) { reserved_ += bytes; }
  void Release(int64_t bytes) { reserved_ -= bytes; }

  // Never refuses: media has its reservation, everything else is small. Dropped after the end.
  // `bytes`: of media.
  void Put(Message message, int64_t bytes = 0) {
    if (ended()) return;
    Count(bytes);
    entries_.push_back({std::move(message), bytes});
  }
  std::optional<Message> Take() {
    if (entries_.empty()) return std::nullopt;
    Message message = std::move(entries_.front().message);
    Count(-entries_.front().bytes);
    entries_.pop_front();
    return message;
  }

  // Ends well after what waits.
  void Finish() { finished_ = true; }
  // Ends at once: what waits is dropped. False when the stream has ended already.
  bool Fail(const absl::Status& status) {
    if (ended()) return false;
    status_ = status;
    entries_.clear();
    Count(-used_);
    return true;
  }
  bool finished() const { return finished_; }
  bool ended() const { return status_.has_value(); }
  const absl::Status& status() const { return *status_; }  // once ended()

  // What comes next when Take() has nothing: each of kSummary and kEnd once.
  enum class Turn { kNothing, kSummary, kEnd };
  Turn NextTurn() {
    if (!entries_.empty() || end_taken_) return Turn::kNothing;
    if (status_) return end_taken_ = true, Turn::kEnd;
    if (!finished_) return Turn::kNothing;
    status_ = absl::OkStatus();
    return Turn::kSummary;
  }

 private:
  struct Entry {
    Message message;
    int64_t bytes;
  };

  void Count(int64_t bytes) {
    if (bytes == 0) return;
    used_ += bytes;
    observer_->OnOutboxBytes(bytes);
  }

  int64_t capacity_;
  StreamObserver* const observer_;
  int64_t used_ = 0;
  int64_t reserved_ = 0;
  std::deque<Entry> entries_;
  bool finished_ = false;
  std::optional<absl::Status> status_;
  bool end_taken_ = false;
};

}  // namespace firstbyte

// Messages waiting to be written, bounded in bytes, with room set aside before the work that fills
// it is scheduled.
//
// Not thread-safe.
#pragma once

#include <deque>
#include <optional>

#include "absl/time/time.h"
#include "server/stream/speech_messages.h"

namespace firstbyte {

class Outbox {
 public:
  struct Entry {
    SpeechResponse message;
    absl::Time busy_since;  // of audio: see StreamPort::Deliver
  };

  explicit Outbox(int64_t capacity) : capacity_(capacity) {}

  // Bytes neither used nor reserved.
  int64_t room() const { return capacity_ - used_ - reserved_; }
  int64_t used() const { return used_; }
  void Reserve(int64_t bytes) { reserved_ += bytes; }
  void Release(int64_t bytes) { reserved_ -= bytes; }

  // Never refuses: audio has its reservation, everything else is small.
  void Put(Entry entry);
  std::optional<Entry> Take();
  void Clear();

 private:
  const int64_t capacity_;
  int64_t used_ = 0;
  int64_t reserved_ = 0;
  std::deque<Entry> entries_;
};

}  // namespace firstbyte

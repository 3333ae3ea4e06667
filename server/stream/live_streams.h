// The streams that exist now, for those who watch and steer a server (AdminService, `firstbyte
// top`).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace firstbyte {

struct StreamReport {
  enum class State {
    kOpening,  // nothing asked for yet, or its session opens
    kWaiting,  // for text or actions
    kRunning,
    kPaused,   // far enough ahead of its listener; worlds: by the player
    kBlocked,  // the client does not read, or gives no credit
    kEnding,   // all is made and waits to be sent
  };

  std::string request_id, method, model;  // model: empty until it is chosen
  int lane = -1;                          // index in the engine; -1: none
  State state = State::kOpening;
  absl::Duration age;        // since it was admitted
  absl::Duration lead;       // media made and not yet played; voices
  absl::Duration media;      // made so far; voices
  int64_t outbox_bytes = 0;  // waiting to be sent
  int64_t underruns = 0;
  int64_t blocks = 0;  // worlds: index of the next one
};

// Implemented by streams.
class LiveStream {
 public:
  virtual ~LiveStream() = default;
  // Any thread. nullopt once the stream has ended.
  virtual std::optional<StreamReport> Report(absl::Time now) const = 0;
  // Any thread. Ends the stream with `status` if it has this model, or asks for a seat of it.
  virtual void Evict(absl::string_view model, const absl::Status& status) = 0;
};

// Thread-safe; one short lock, not held while a stream is asked. Outlives every Entry.
class LiveStreams {
 public:
  // Held by a stream for as long as it exists.
  class Entry {
   public:
    Entry() = default;
    Entry(Entry&& other) noexcept { *this = std::move(other); }
    Entry& operator=(Entry&& other) noexcept;
    ~Entry();

   private:
    friend class LiveStreams;
    LiveStreams* streams_ = nullptr;
    int64_t number_ = 0;
  };

  Entry Add(std::weak_ptr<LiveStream> stream);
  // The oldest first.
  std::vector<StreamReport> Report(absl::Time now) const;
  // LiveStream::Evict() of all.
  void Evict(absl::string_view model, const absl::Status& status);

 private:
  std::vector<std::shared_ptr<LiveStream>> All() const;

  mutable Mutex mu_;
  int64_t next_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<int64_t, std::weak_ptr<LiveStream>> streams_ ABSL_GUARDED_BY(mu_);
};

}  // namespace firstbyte

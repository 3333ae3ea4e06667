// One request of the load generator: what it is to do, and what came of it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "client/loadgen/playback.h"
#include "client/loadgen/world_script.h"
#include "firstbyte/v1/speech.pb.h"

namespace firstbyte {

// How the client behaves. All but kListen start once the first media has arrived.
enum class Behaviour {
  kListen,      // as a client should
  kCancel,      // cancels the call
  kReadSlowly,  // waits before each message it reads
  kDisconnect,  // its connection breaks without a word
};

absl::string_view BehaviourName(Behaviour behaviour);  // "listen", "cancel", ...

struct CallPlan {
  int64_t id = 0;        // 0, 1, 2, ... in the order they are due
  int stream = 0;        // which listener, or which of a closed loop; open loop: the id
  absl::Time scheduled;  // when it was due, steady clock
  Behaviour behaviour = Behaviour::kListen;
  v1::SynthesizeConfig config;  // speech
  std::string text;
  WorldScript world;  // worlds
  uint64_t seed = 1;
};

// Times are of the steady clock.
struct CallRecord {
  int64_t id = 0;
  int stream = 0;
  Behaviour behaviour = Behaviour::kListen;
  absl::Time scheduled;
  absl::Time start;                       // just before the first message was sent
  std::vector<Arrival> arrivals;          // one an audio message or block
  std::optional<absl::Duration> audible;  // speech: offset of the first audible sample
  absl::Time end;
  absl::Status status;
  bool abandoned = false;  // by us: cancelled, disconnected, or left at the end of the run
  std::optional<v1::Timing> timing;  // the server's own account, of calls that ended well

  int64_t frames = 0, late_blocks = 0, skipped_blocks = 0;  // worlds
  // Worlds, one an action that a block has shown: from sending it to the arrival of that block.
  std::vector<absl::Duration> action_to_frame;

  std::optional<absl::Duration> first_byte_after(absl::Time from) const;  // nullopt: no media came
};

// The record of a call that is about to start.
inline CallRecord RecordOf(const CallPlan& plan) {
  CallRecord record;
  record.id = plan.id;
  record.stream = plan.stream;
  record.behaviour = plan.behaviour;
  record.scheduled = plan.scheduled;
  return record;
}

struct CallerOptions {
  absl::Duration timeout = absl::Seconds(60);          // of a whole call
  absl::Duration slow_read = absl::Milliseconds(500);  // what Behaviour::kReadSlowly waits
  const Clock* clock = &Clock::Steady();               // stamps the records
};

// Starts calls. Start returns at once; `done` is called once, on any thread. Destruction waits for
// calls in flight.
class Caller {
 public:
  virtual ~Caller() = default;
  virtual void Start(const CallPlan& plan, std::function<void(CallRecord)> done) = 0;
  // Ends the calls in flight soon; their records are abandoned ones.
  virtual void CancelAll() = 0;
};

}  // namespace firstbyte

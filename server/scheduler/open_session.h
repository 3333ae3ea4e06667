// A session as its lane keeps it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "model/model.h"
#include "server/scheduler/lane.h"
#include "server/scheduler/stream_port.h"

namespace firstbyte {

struct Lane::OpenSession {
  SessionRequest request;
  SessionId id;
  std::unique_ptr<Session> session;
  int tenant = 0;  // index into recent_
  bool starting = true;
  bool paused = false;
  StreamPort::Standing standing = StreamPort::Standing::kWaiting;  // as the stream knows it
  absl::Time last_input;
  absl::Time ready = absl::InfiniteFuture();  // first clause arrived
  std::optional<absl::Time> busy_since;       // has work, without a break
  std::optional<absl::Time> first_step;
  std::optional<absl::Time> running_since;  // not paused, since its first step
  StageTimes times;
  int64_t clauses_pushed = 0, clauses_begun = 0;
  // Of the steps that it takes part in now. Room for one chunk is set aside at a time, so one
  // decode at most is among them.
  int under_way = 0;
  int frames_under_way = 0;            // to be decoded
  std::optional<absl::Status> ending;  // it ends so when its last step has been waited for

  int model() const { return request.seat.model(); }
  bool busy(const Work& work) const { return under_way > 0 || work.any(); }
};

}  // namespace firstbyte

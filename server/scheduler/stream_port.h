// What a lane needs to know of a stream, and what it gives back to it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/model.h"

namespace firstbyte {

// What the lane measured for one request (metrics and Timing are made of it).
struct StageTimes {
  absl::Duration queue;               // first input ready -> first step
  absl::Duration stage[kStageCount];  // wall time of the steps this session took part in
  absl::Duration running;  // first step -> last step, less pauses for lead, room or missing input
  int steps = 0;
  int batch_sum = 0;  // sum over steps of the sessions in them
  double mean_batch_size() const { return steps == 0 ? 0 : static_cast<double>(batch_sum) / steps; }
};

// Implemented by a stream; called on the lane thread only. No call may block.
class StreamPort {
 public:
  struct State {
    absl::Duration lead;  // media published and not yet played
    bool heard = false;   // some media has been published
    int room_frames = 0;  // frames whose encoded bytes the outbox could take now
    // Worlds: when BeginBlock() is to be called next (InfinitePast: at once; InfiniteFuture: not
    // before something arrives, then Lane::Wake()), and when the player would notice that what the
    // session does now is late: the block it makes, else the commit that the next one waits for.
    absl::Time block_start = absl::InfiniteFuture();
    absl::Time block_due = absl::InfiniteFuture();
  };

  // What happens at a block boundary, in this order.
  struct BlockPlan {
    bool save = false;           // call Saved() with the session's state
    std::vector<Input> inputs;   // prompts, resets, then the actions of the block or EndOfInput
    std::vector<RawInput> said;  // what the prompts were prepared from; for a watcher
  };

  virtual ~StreamPort() = default;

  virtual State state(absl::Time now) = 0;

  // Sets aside outbox room for `frames`, at most State::room_frames. Deliver() consumes it.
  virtual void Reserve(int frames) = 0;
  // `busy_since`: since when the session has had something to do without a break. Silence that
  // began before it was for want of text, not an underrun.
  virtual void Deliver(Output output, absl::Time busy_since) = 0;

  // What the session is doing, whenever that changes.
  enum class Standing { kWaiting, kRunning, kPaused };  // for input; -; far enough ahead
  virtual void Stands(Standing /*standing*/) {}

  // A pushed clause has begun: another prepared one would be welcome.
  virtual void ClauseBegun() = 0;

  // Worlds: the session stands at a block boundary and block_start has come. The plan latches what
  // the player did until now. Without BlockActions in it no block begins, and block_start must have
  // moved on. Room for the block is the stream's own business: room_frames and Reserve() are not.
  virtual BlockPlan BeginBlock(absl::Time /*now*/) { return {}; }
  virtual void Saved(absl::StatusOr<std::string> /*state*/) {}
  // A whole block; `so_far`: of the session since it was opened.
  virtual void DeliverBlock(Output /*output*/, const StageTimes& /*so_far*/) {}

  // The session is over and its slot free; nothing is called after this.
  virtual void Ended(absl::Status status, const StageTimes& times) = 0;

  // Any thread, unlike all others: the lane stands still and may never call again, so end the
  // stream now. If it does go on, Ended() still comes.
  virtual void Fail(const absl::Status& /*status*/) {}
};

}  // namespace firstbyte

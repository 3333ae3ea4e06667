// StreamCore of one StepWorld call: everything but the transport.
//
//   transport --Handle/HalfClose/Cancel--> inbox of actions, prompts, controls <--BeginBlock-- lane
//   transport <--Next/OnWritten----------- outbox <- encoder <------------------DeliverBlock-- lane
//
// Thread-safe: transport events, strands, the store and the lane may call at the same time. One
// short lock; nothing blocks under it, and no transport or store call is made under it.
//
// Ends exactly once: Next() returns a WorldEnd, after which it returns nothing more. However the
// stream ends, the session is parked at its next block boundary with the blocks that the player may
// have missed; only CLOSE, half-close, max_session_duration, deletion and the session's own failure
// end it for good. Bounded: what waits to be played (world_input.h), coded blocks that wait to be
// written (room for a block is set aside before it begins), blocks held for a resume.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "server/scheduler/stream_port.h"
#include "server/stream/stream_context.h"
#include "server/stream/world_hold.h"
#include "server/stream/world_messages.h"

namespace firstbyte {

class WorldStream : public StreamPort,
                    public WorldHolder,
                    public std::enable_shared_from_this<WorldStream> {
 public:
  // `context.worlds` must be set. Shares the transport: lane and store still answer after Next()
  // has returned the WorldEnd.
  static std::shared_ptr<WorldStream> Create(const StreamContext& context,
                                             std::shared_ptr<StreamTransport> transport);
  ~WorldStream() override;

  // ---- Transport side: reading. ----
  // A message of the client. OpenWorld of a new session is admitted or refused before this returns;
  // the others, and what blocks, are worked on afterwards: read on when ReadyForMore() says so.
  void Handle(WorldRequest request);
  void HalfClose();
  // The client is gone or gave up. The session is parked.
  void Cancel();
  // Ends the stream with `status`; for what the transport itself refuses. The session is parked.
  void Fail(const absl::Status& status);
  // False while the session opens or enough waits to be played: do not read until WakeReader().
  bool ReadyForMore();

  // ---- Transport side: writing. ----
  // The next message, the end, or nothing yet. Call when no write is in flight.
  using NextResult = std::variant<std::monostate, WorldResponse, WorldEnd>;
  NextResult Next();
  // The message that Next() returned last was written.
  void OnWritten();

  // ---- Store side (WorldHolder). ----
  void TakenOver() override;
  void Deleted() override;
  void Draining(absl::Duration remaining) override;

  // ---- Lane side (StreamPort). ----
  State state(absl::Time now) override;
  void Reserve(int frames) override;
  BlockPlan BeginBlock(absl::Time now) override;
  void Saved(absl::StatusOr<std::string> state) override;
  void DeliverBlock(Output output, const StageTimes& so_far) override;
  void Deliver(Output output, absl::Time busy_since) override;
  void ClauseBegun() override;
  void Ended(absl::Status status, const StageTimes& times) override;

 private:
  WorldStream(const StreamContext& context, std::shared_ptr<StreamTransport> transport);

  const StreamContext context_;
  const std::shared_ptr<StreamTransport> transport_;
  mutable Mutex mu_;
};

}  // namespace firstbyte

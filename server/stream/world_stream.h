// StreamCore of one StepWorld call: everything but the transport.
//
//   transport --Handle/HalfClose/Cancel--> inbox of actions, prompts, controls <--BeginBlock-- lane
//   transport <--Next/OnWritten----------- outbox <- encoder <------------------DeliverBlock-- lane
//
// Thread-safe: transport events, strands, the store and the lane may call at the same time. One
// short lock; nothing blocks under it, and neither transport nor store is called under it, save for
// the hold's cheap words.
//
// Ends exactly once: Next() returns a WorldEnd, after which it returns nothing more. However the
// stream ends, the session is parked at its next block boundary with the blocks that the player may
// have missed; only CLOSE, half-close, max_session_duration, deletion and the session's own failure
// end it for good. Bounded: what waits to be played (world_input.h), coded blocks that wait to be
// written (room for a block is set aside before it begins), blocks held for a resume.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "base/strand.h"
#include "server/scheduler/stream_port.h"
#include "server/stream/block_history.h"
#include "server/stream/live_streams.h"
#include "server/stream/outbox.h"
#include "server/stream/stream_context.h"
#include "server/stream/world_input.h"
#include "server/stream/world_media.h"
#include "server/stream/world_messages.h"
#include "server/stream/world_pacer.h"
#include "server/stream/world_store.h"

namespace firstbyte {

class WorldStream : public StreamPort,
                    public WorldHolder,
                    public LiveStream,
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
  void Fail(const absl::Status& status) override;
  // False while the session opens, or enough waits to be played or to be written: do not read until
  // WakeReader().
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

  // ---- Whoever watches the server (LiveStream). ----
  std::optional<StreamReport> Report(absl::Time now) const override;
  void Evict(absl::string_view model, const absl::Status& status) override;

 private:
  static constexpr char kMethod[] = "StepWorld";
  enum class Phase { kNew, kOpening, kOpen };

  // How the session leaves the lane at its next block boundary.
  struct Leaving {
    bool park = false;
    absl::Status end;  // of the stream, once parked; OK: after what waits, with
    WorldSummary::Reason reason = WorldSummary::Reason::kClosed;
  };
  struct Outgoing {
    WorldResponse message;
    std::vector<absl::Time> arrivals;  // of the actions that a block is the first to show
  };
  // A block between its actions and its place in the outbox.
  struct BlockUnderWay {
    SavedBlock block;
    WorldPacer::Begun begun;
    std::vector<absl::Time> arrivals;  // as in Outgoing
    RequestTiming timing;
    bool resent = false;  // made before this stream; no room was set aside for it
  };
  struct Opening;  // what a session is being opened with
  using OpenStep = void (WorldStream::*)(const std::shared_ptr<Opening>&);

  WorldStream(const StreamContext& context, std::shared_ptr<StreamTransport> transport);

  // world_open.cc, on the strand unless said otherwise.
  absl::Status Take(OpenWorld open);  // in the reaction, as Begin()
  absl::Status Begin(const std::shared_ptr<Opening>& opening, const CreateWorld& create);
  absl::Status Begin(const std::shared_ptr<Opening>& opening, const ResumeWorld& resume);
  absl::Status Begin(const std::shared_ptr<Opening>& opening, const FromSnapshot& snapshot);
  absl::Status Choose(const std::string& model, Opening* opening);
  absl::Status CheckPace(int model, const OpenWorld& open) const;
  void AwaitModel(const std::shared_ptr<Opening>& opening, OpenStep next);
  void Loaded(const absl::Status& status);
  void OpenChosen();
  void OpenNew(const std::shared_ptr<Opening>& opening);
  void OpenSaved(const std::shared_ptr<Opening>& opening);
  void OpenLoaded(const std::shared_ptr<Opening>& opening);
  absl::Status CheckSaved(Opening* opening);
  void Install(const std::shared_ptr<Opening>& opening);
  std::vector<std::shared_ptr<const BlockUnderWay>> Restore(SavedWorld* world)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Announce() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void GiveUp(const std::shared_ptr<Opening>& opening, const absl::Status& status);
  void HandleEarly();

  // world_stream.cc.
  void Hear(WorldRequest request);
  absl::Status Take(const WorldActions& actions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Take(WorldPrompt prompt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Take(WorldControl control) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Take(WorldCredit credit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PreparePrompts();
  void PostPrompts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Leave(Leaving leaving) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WakeLane() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HoldsReader() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool ReaderMayGoOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PutNotice(WorldNotice notice) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Sending(const Outgoing& outgoing, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  WorldSummary Summarize(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  StreamReport::State Doing() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // world_lane.cc, on the lane.
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool CreditIsMissed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Time NextCall() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndWhatLasted(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  BlockPlan PlanToLeave() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  BlockPlan PlanBoundary(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StartBlock(const WorldInbox::Boundary& boundary, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  SavedWorld Snapshot(std::vector<SavedInput> pending, const SavedActions& newest) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Store(SavedWorld snapshot);
  void Stored(const absl::StatusOr<SnapshotInfo>& info);

  // world_delivery.cc, where media is coded: on the lane or the media strand.
  void Send(const std::shared_ptr<const BlockUnderWay>& under_way);
  void Encode(const BlockUnderWay& under_way);
  void Publish(const BlockUnderWay& under_way, WorldMedia::Coded coded, absl::Duration cost);
  void PutAudio(std::optional<SpeechAudio> audio) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Complete(const absl::Status& status, const StageTimes& times);
  void Park(WorldHold hold, SavedWorld world, const Leaving& leaving);
  void Parked(const absl::Status& status, const Leaving& leaving);
  void Finish(WorldSummary::Reason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const StreamContext context_;
  const std::shared_ptr<StreamTransport> transport_;
  LiveStreams::Entry entry_;
  Strand strand_;        // opening, prompts
  Strand media_strand_;  // coding that takes longer than a microsecond

  // Set before the lane knows the session, constant afterwards.
  const ModelInfo* info_ = nullptr;
  int model_ = 0;
  Pacing pacing_ = Pacing::kLockstep;
  uint64_t seed_ = 0;
  std::string tenant_;
  absl::Duration idle_, lifetime_, period_;
  std::unique_ptr<WorldMedia> media_;  // used where media is coded

  mutable Mutex mu_;
  Phase phase_ ABSL_GUARDED_BY(mu_) = Phase::kNew;
  std::string request_id_ ABSL_GUARDED_BY(mu_);
  const ModelInfo* asked_ ABSL_GUARDED_BY(mu_) = nullptr;  // whose seat it has or is about to take
  std::shared_ptr<Opening> awaiting_model_ ABSL_GUARDED_BY(mu_);
  std::deque<WorldRequest> early_ ABSL_GUARDED_BY(mu_);  // said while the session opens
  bool early_close_ ABSL_GUARDED_BY(mu_) = false;
  bool reader_waits_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Duration> draining_ ABSL_GUARDED_BY(mu_);

  WorldHold hold_ ABSL_GUARDED_BY(mu_);
  Lane* lane_ ABSL_GUARDED_BY(mu_) = nullptr;
  Lane::SessionId session_ ABSL_GUARDED_BY(mu_) = 0;
  std::optional<WorldInbox> inbox_ ABSL_GUARDED_BY(mu_);
  std::optional<WorldPacer> pacer_ ABSL_GUARDED_BY(mu_);
  absl::Time opened_ ABSL_GUARDED_BY(mu_), last_said_ ABSL_GUARDED_BY(mu_);
  bool preparing_ ABSL_GUARDED_BY(mu_) = false;

  int64_t next_block_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Duration media_clock_ ABSL_GUARDED_BY(mu_);  // presentation offset of the next block
  int64_t skipped_before_ ABSL_GUARDED_BY(mu_) = 0;  // by earlier streams of the session
  std::shared_ptr<BlockUnderWay> under_way_ ABSL_GUARDED_BY(mu_);  // until it is delivered
  StageTimes times_ ABSL_GUARDED_BY(mu_);                          // of the session at that time
  absl::Time work_due_ ABSL_GUARDED_BY(mu_);                       // of prefill and block
  BlockHistory history_ ABSL_GUARDED_BY(mu_);
  bool credit_noticed_ ABSL_GUARDED_BY(mu_) = false;
  bool late_noticed_ ABSL_GUARDED_BY(mu_) = false;  // such a notice waits in the outbox
  int snapshots_asked_ ABSL_GUARDED_BY(mu_) = 0;    // for and not answered
  int snapshots_stored_ ABSL_GUARDED_BY(mu_) = 0;   // at this moment, by the store
  std::optional<SavedWorld> saving_ ABSL_GUARDED_BY(mu_);
  std::optional<Leaving> leaving_ ABSL_GUARDED_BY(mu_);
  bool left_ ABSL_GUARDED_BY(mu_) = false;      // the session has been told
  bool finished_ ABSL_GUARDED_BY(mu_) = false;  // well, but for the snapshots

  Outbox<Outgoing> outbox_ ABSL_GUARDED_BY(mu_);
  bool full_ ABSL_GUARDED_BY(mu_) = false;  // no room for a block when last looked at
  enum class Told { kNothing, kWriting, kOpened };
  Told told_ ABSL_GUARDED_BY(mu_) = Told::kNothing;
  std::optional<absl::Time> first_byte_ ABSL_GUARDED_BY(mu_);
  absl::Time write_began_ ABSL_GUARDED_BY(mu_);  // for a trace
  absl::Duration running_ ABSL_GUARDED_BY(mu_);
  WorldSummary summary_ ABSL_GUARDED_BY(mu_);
};

}  // namespace firstbyte

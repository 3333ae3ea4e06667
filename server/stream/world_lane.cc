// WorldStream, as the lane sees it: when the next boundary is, and what happens there.

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "server/stream/world_stream.h"

namespace firstbyte {

StreamPort::State WorldStream::state(absl::Time /*now*/) {
  MutexLock lock(&mu_);
  return {.heard = times_.steps > 0, .block_start = NextCall(), .block_due = work_due_};
}

bool WorldStream::HasRoom() const { return outbox_.room() >= media_->max_block_bytes(); }

// A REALTIME player who gives no credit is told so, once, when the block would have begun.
bool WorldStream::CreditIsMissed() const {
  return pacing_ == Pacing::kRealtime && !credit_noticed_ && !inbox_->paused() &&
         inbox_->out_of_credit();
}

absl::Time WorldStream::NextCall() {
  if (left_) return absl::InfiniteFuture();
  if (leaving_) return absl::InfinitePast();
  const absl::Time limit = std::min(last_said_ + idle_, opened_ + lifetime_);
  const bool room = HasRoom();
  if (!std::exchange(full_, !room) && full_) context_.observer->OnSlowConsumer(info_->name);
  switch (inbox_->wish(room)) {
    case WorldInbox::Wish::kControls:
      return absl::InfinitePast();
    case WorldInbox::Wish::kBlock:
      return std::min(limit, pacer_->start());
    case WorldInbox::Wish::kNothing:
      break;
  }
  if (!under_way_) pacer_->Starve();
  return CreditIsMissed() ? std::min(limit, pacer_->start()) : limit;
}

void WorldStream::EndWhatLasted(absl::Time now) {
  if (now >= opened_ + lifetime_) Leave({.reason = WorldSummary::Reason::kMaxDuration});
  if (now >= last_said_ + idle_) {
    Leave({.park = true,
           .end = Error(absl::StatusCode::kDeadlineExceeded, "IDLE",
                        "the player said nothing for too long, so the session was parked")});
  }
}

StreamPort::BlockPlan WorldStream::BeginBlock(absl::Time now) {
  BlockPlan plan;
  bool wake_reader = false;
  {
    MutexLock lock(&mu_);
    EndWhatLasted(now);
    plan = leaving_ ? PlanToLeave() : PlanBoundary(now);
    wake_reader = ReaderMayGoOn();
  }
  transport_->WakeWriter();
  if (wake_reader) transport_->WakeReader();
  return plan;
}

StreamPort::BlockPlan WorldStream::PlanToLeave() {
  BlockPlan plan;
  left_ = true;
  plan.save = leaving_->park;
  if (plan.save) saving_ = Snapshot(inbox_->Pending(), inbox_->newest());
  plan.inputs.emplace_back(EndOfInput{});
  return plan;
}

StreamPort::BlockPlan WorldStream::PlanBoundary(absl::Time now) {
  WorldInbox::Boundary boundary = inbox_->Take(HasRoom() && now >= pacer_->start(), next_block_);
  BlockPlan plan;
  plan.save = boundary.save;
  if (boundary.save) saving_ = Snapshot(std::move(boundary.pending), boundary.newest);
  if (boundary.paused) {
    PutNotice({.kind = WorldNotice::Kind::kPaused, .message = "paused as asked"});
  }
  if (boundary.close) {
    Leave({});
    left_ = true;
    plan.inputs.emplace_back(EndOfInput{});
    return plan;
  }
  plan.inputs = std::move(boundary.inputs);
  if (context_.keep_inputs) plan.said = std::move(boundary.said);
  if (boundary.block) {
    StartBlock(boundary, now);
  } else if (CreditIsMissed() && now >= pacer_->start()) {
    credit_noticed_ = true;
    PutNotice({.kind = WorldNotice::Kind::kPaused, .message = "waiting for credit"});
  }
  if (hold_) hold_.Update(inbox_->paused() || credit_noticed_, next_block_);
  return plan;
}

void WorldStream::StartBlock(const WorldInbox::Boundary& boundary, absl::Time now) {
  const WorldPacer::Begun begun = pacer_->Begin(now);
  summary_.skipped_blocks += begun.skipped;
  if (begun.skipped > 0) context_.observer->OnSkippedBlocks(info_->name, begun.skipped);
  credit_noticed_ = false;
  work_due_ = begun.due;
  outbox_.Reserve(media_->max_block_bytes());
  under_way_ = std::make_shared<BlockUnderWay>();
  under_way_->begun = begun;
  under_way_->arrivals = boundary.arrivals;
  under_way_->block.presentation_offset = media_clock_;
  under_way_->block.applied_action_sequence = boundary.actions.sequence;
  under_way_->block.client_time = boundary.actions.client_time;
  if (!boundary.prompted) return;
  PutNotice({.kind = WorldNotice::Kind::kPromptApplied,
             .message = "a new prompt takes effect",
             .block = next_block_});
}

void WorldStream::Reserve(int /*frames*/) {}  // StartBlock did
void WorldStream::ClauseBegun() {}
void WorldStream::Deliver(Output /*output*/, absl::Time /*busy_since*/) {}

void WorldStream::DeliverBlock(Output output, const StageTimes& so_far) {
  std::shared_ptr<BlockUnderWay> done;
  {
    MutexLock lock(&mu_);
    done = std::move(under_way_);
    auto since = [&](Stage stage) {
      return so_far.stage[static_cast<int>(stage)] - times_.stage[static_cast<int>(stage)];
    };
    RequestTiming& timing = done->timing;
    if (!done->arrivals.empty()) timing.queue = done->begun.at - done->arrivals.front();
    timing.prefill = since(Stage::kPrefill);
    timing.generation = since(Stage::kGenerate);
    timing.decode = since(Stage::kDecode);
    const int steps = so_far.steps - times_.steps;
    if (steps > 0) {
      timing.mean_batch_size = static_cast<double>(so_far.batch_sum - times_.batch_sum) / steps;
    }
    times_ = so_far;
    done->block.output = std::move(output);
    next_block_ = done->block.output.block + 1;
    media_clock_ += period_;
    work_due_ = pacer_->NextDue(context_.clock->Now());
    history_.Add({done, &done->block});
    if (hold_) hold_.Update(/*paused=*/false, next_block_);
  }
  Send(done);
}

// ---- Snapshots. ----

SavedWorld WorldStream::Snapshot(std::vector<SavedInput> pending,
                                 const SavedActions& newest) const {
  return {.model = info_->name,
          .version = info_->version,
          .seed = seed_,
          .next_block = next_block_,
          .media_clock = media_clock_,
          .skipped_blocks = skipped_before_ + summary_.skipped_blocks,
          .held = newest,
          .pending = std::move(pending)};
}

void WorldStream::Saved(absl::StatusOr<std::string> state) {
  std::optional<SavedWorld> snapshot;
  {
    MutexLock lock(&mu_);
    if (state.ok()) saving_->state = std::make_shared<const std::string>(*std::move(state));
    if (!state.ok()) saving_.reset();
    if (left_) return;  // Complete() parks it
    snapshot = std::exchange(saving_, std::nullopt);
    snapshots_stored_ += snapshot.has_value();
  }
  if (!snapshot) return Fail(state.status());
  context_.worlds->SaveSnapshot(
      tenant_, *std::move(snapshot),
      [self = shared_from_this()](const absl::StatusOr<SnapshotInfo>& info) {
        self->Stored(info);
      });
}

void WorldStream::Stored(const absl::StatusOr<SnapshotInfo>& info) {
  if (!info.ok()) Fail(info.status());
  {
    MutexLock lock(&mu_);
    --snapshots_asked_;
    --snapshots_stored_;
    if (info.ok()) {
      outbox_.Put({WorldSnapshot{info->id, info->block, info->bytes, info->sha256}, {}});
    }
    if (finished_ && snapshots_stored_ == 0) outbox_.Finish();
  }
  transport_->WakeWriter();
}

}  // namespace firstbyte

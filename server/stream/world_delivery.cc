// WorldStream, the way out: lane -> coding -> outbox; and what becomes of a session that left.

#include <utility>

#include "base/error.h"
#include "base/trace.h"
#include "server/stream/world_stream.h"

namespace firstbyte {

void WorldStream::Send(const std::shared_ptr<const BlockUnderWay>& under_way) {
  if (media_->cheap()) return Encode(*under_way);
  media_strand_.Post([self = shared_from_this(), under_way] { self->Encode(*under_way); });
}

void WorldStream::Encode(const BlockUnderWay& under_way) {
  TraceSpan span(context_.tracer, "encode");
  const absl::Time begin = context_.clock->Now();
  auto coded = media_->Encode(under_way.block);
  if (!coded.ok()) {
    Fail(coded.status());
    MutexLock lock(&mu_);
    if (!under_way.resent) outbox_.Release(media_->max_block_bytes());
    return;
  }
  Publish(under_way, *std::move(coded), context_.clock->Now() - begin);
  transport_->WakeWriter();
}

void WorldStream::Publish(const BlockUnderWay& under_way, WorldMedia::Coded coded,
                          absl::Duration cost) {
  MutexLock lock(&mu_);
  const absl::Time now = context_.clock->Now();
  summary_.timing.encode += cost;
  bool late = false;
  if (!under_way.resent) {
    outbox_.Release(media_->max_block_bytes());
    late = pacer_->Finished(under_way.begun, now);
    context_.observer->OnBlock(info_->name, info_->world->frames_per_block, late);
    coded.block.timing = under_way.timing;
    coded.block.timing.encode = cost;
    coded.block.timing.total = now - under_way.begun.at + under_way.timing.queue;
    coded.block.timing.first_byte = coded.block.timing.total;
  }
  const int64_t index = coded.block.index;
  outbox_.Put({std::move(coded.block), under_way.arrivals}, coded.block_bytes);
  PutAudio(std::move(coded.audio));
  // One such notice at a time waits, so that a player who cannot keep up is not told so for ever.
  if (!late || std::exchange(late_noticed_, true)) return;
  PutNotice({.kind = WorldNotice::Kind::kLate,
             .message = "a block was not ready in time",
             .block = index});
}

void WorldStream::PutAudio(std::optional<SpeechAudio> audio) {
  if (!audio) return;
  const int64_t bytes = audio->audio.bytes();
  outbox_.Put({*std::move(audio), {}}, bytes);
}

// ---- The end. ----

void WorldStream::Ended(absl::Status status, const StageTimes& times) {
  if (media_->cheap()) return Complete(status, times);
  media_strand_.Post([self = shared_from_this(), status, times] { self->Complete(status, times); });
}

void WorldStream::Complete(const absl::Status& status, const StageTimes& times) {
  WorldHold hold;
  std::optional<SavedWorld> world;
  Leaving leaving;
  {
    MutexLock lock(&mu_);
    lane_ = nullptr;
    hold = std::move(hold_);
    RequestTiming& timing = summary_.timing;
    timing.queue = times.queue;
    timing.prefill += times.stage[static_cast<int>(Stage::kPrefill)];
    timing.generation = times.stage[static_cast<int>(Stage::kGenerate)];
    timing.decode = times.stage[static_cast<int>(Stage::kDecode)];
    timing.mean_batch_size = times.mean_batch_size();
    running_ = times.running;
    if (leaving_) leaving = *leaving_;
    if (status.ok() && leaving.park) world = std::exchange(saving_, std::nullopt);
  }
  if (world && hold) return Park(std::move(hold), *std::move(world), leaving);
  hold = WorldHold();  // who has read the end of the stream finds no such session any more
  {
    MutexLock lock(&mu_);
    if (!status.ok()) {
      outbox_.Fail(status);
    } else if (leaving.park) {
      outbox_.Fail(Error(absl::StatusCode::kInternal, "NOT_SAVED",
                         "the session could not be saved, so it is lost"));
    } else {
      PutAudio(media_->Finish());
      Finish(leaving.reason);
    }
  }
  transport_->WakeWriter();
}

// Not on the lane: the blocks that are held take a millisecond to copy.
void WorldStream::Park(WorldHold hold, SavedWorld world, const Leaving& leaving) {
  struct Load {
    WorldHold hold;
    SavedWorld world;
  };
  auto load = std::make_shared<Load>(Load{std::move(hold), std::move(world)});
  strand_.Post([self = shared_from_this(), load, leaving] {
    std::vector<std::shared_ptr<const SavedBlock>> blocks;
    {
      MutexLock lock(&self->mu_);
      blocks = self->history_.all();
    }
    for (const auto& block : blocks) load->world.blocks.push_back(*block);
    self->context_.worlds->Park(
        std::move(load->hold), std::move(load->world),
        [self, leaving](const absl::Status& status) { self->Parked(status, leaving); });
  });
}

void WorldStream::Parked(const absl::Status& status, const Leaving& leaving) {
  {
    MutexLock lock(&mu_);
    if (!status.ok()) {
      outbox_.Fail(status);
    } else if (!leaving.end.ok()) {
      outbox_.Fail(leaving.end);
    } else {
      Finish(leaving.reason);
    }
  }
  transport_->WakeWriter();
}

// Ends the stream well, once the snapshots it was asked for are answered.
void WorldStream::Finish(WorldSummary::Reason reason) {
  summary_.reason = reason;
  finished_ = true;
  if (snapshots_stored_ == 0) outbox_.Finish();
}

}  // namespace firstbyte

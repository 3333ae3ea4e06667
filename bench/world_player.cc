#include "bench/world_player.h"

#include <algorithm>

#include "base/clock.h"
#include "client/proto_time.h"

namespace firstbyte {
namespace {

constexpr int kCreditAtOnce = 64;

absl::Time Now() { return Clock::Steady().Now(); }

double Milliseconds(const google::protobuf::Duration& duration) {
  return absl::ToDoubleMilliseconds(FromProto(duration));
}

}  // namespace

absl::StatusOr<std::unique_ptr<WorldPlayer>> WorldPlayer::Open(WorldClient* client,
                                                               const v1::OpenWorld& open) {
  auto stream = client->Open(open);
  v1::StepWorldResponse response;
  if (!stream->Next(&response)) return stream->Finish();
  const bool lockstep = open.pacing() == v1::PACING_LOCKSTEP;
  return std::unique_ptr<WorldPlayer>(
      new WorldPlayer(std::move(stream), response.opened(), lockstep));
}

WorldPlayer::WorldPlayer(std::unique_ptr<WorldStream> stream, const v1::WorldOpened& opened,
                         bool lockstep)
    : stream_(std::move(stream)), opened_(opened), lockstep_(lockstep) {
  if (!lockstep_) stream_->GiveCredit(kCreditAtOnce).IgnoreError();
  reader_ = std::thread([this] { Read(); });
}

WorldPlayer::~WorldPlayer() {
  stream_->Cancel();
  if (reader_.joinable()) reader_.join();
}

void WorldPlayer::Read() {
  v1::StepWorldResponse response;
  while (stream_->Next(&response)) {
    bool credit = false;
    {
      MutexLock lock(&mu_);
      Note(response);
      credit = response.has_block() && notes_.blocks % kCreditAtOnce == kCreditAtOnce / 2;
    }
    if (credit && !lockstep_) stream_->GiveCredit(kCreditAtOnce).IgnoreError();
  }
  MutexLock lock(&mu_);
  over_ = true;
  changed_.NotifyAll();
}

void WorldPlayer::Note(const v1::StepWorldResponse& response) {
  if (response.has_notice()) {
    notes_.skipped = std::max(notes_.skipped, response.notice().skipped_block_count());
    if (response.notice().kind() == v1::NOTICE_KIND_PROMPT_APPLIED && prompted_at_ >= 0) {
      notes_.prompt_blocks.push_back(static_cast<double>(response.notice().block() - prompted_at_));
      prompted_at_ = -1;
    }
  }
  if (response.has_summary()) {
    notes_.skipped = std::max(notes_.skipped, response.summary().skipped_block_count());
  }
  if (response.has_snapshot()) ++notes_.snapshots;
  if (!response.has_block()) return;
  const v1::Block& block = response.block();
  const absl::Time now = Now();
  const absl::Duration period = absl::Seconds(block.frames_size() / opened_.fps());
  if (notes_.blocks++ == 0) {
    notes_.first = now;
    due_ = now + period;
  } else {
    notes_.interval_ms.push_back(absl::ToDoubleMilliseconds(now - notes_.last));
  }
  notes_.last = now;
  notes_.block_ms.push_back(Milliseconds(block.timing().total_duration()) -
                            Milliseconds(block.timing().queue_duration()));
  if (now > due_) {
    ++notes_.late;
    due_ = now;
  }
  due_ += period;
  notes_.frames += block.frames_size();
  next_block_ = block.index() + 1;
  applied_ = std::max(applied_, block.applied_action_sequence());
  for (auto sent = sent_.begin(); sent != sent_.end() && sent->first <= applied_;) {
    notes_.action_to_frame_ms.push_back(absl::ToDoubleMilliseconds(now - sent->second));
    sent = sent_.erase(sent);
  }
  changed_.NotifyAll();
}

void WorldPlayer::Act(std::mt19937* random) {
  v1::Actions actions;
  actions.set_sequence(++sequence_);
  const auto& keys = opened_.action_vocabulary().keys();
  const unsigned choice = (*random)() % static_cast<unsigned>(keys.size() + 1);
  if (choice < static_cast<unsigned>(keys.size())) {
    actions.add_keys(keys.Get(static_cast<int>(choice)));
  }
  {
    MutexLock lock(&mu_);
    sent_[sequence_] = Now();
  }
  stream_->Act(actions).IgnoreError();
}

void WorldPlayer::Prompt(const std::string& text) {
  {
    MutexLock lock(&mu_);
    prompted_at_ = next_block_;
  }
  stream_->Prompt(text).IgnoreError();
}

void WorldPlayer::Snapshot() { stream_->Control(v1::CONTROL_KIND_SNAPSHOT).IgnoreError(); }

bool WorldPlayer::WaitForAction(int64_t behind) {
  MutexLock lock(&mu_);
  while (!over_ && applied_ < sequence_ - behind) changed_.Wait(&mu_);
  return !over_;
}

absl::Status WorldPlayer::Close() {
  stream_->Control(v1::CONTROL_KIND_CLOSE).IgnoreError();
  reader_.join();
  return stream_->Finish();
}

PlayerNotes WorldPlayer::notes() const {
  MutexLock lock(&mu_);
  return notes_;
}

}  // namespace firstbyte

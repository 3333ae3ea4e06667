#include "server/stream/world_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/trace.h"

namespace firstbyte {
namespace {

constexpr int kMostSnapshots = 4;  // asked for and not answered
constexpr int kMostCredit = 1024;  // of one message
// Answers to a player who asks and does not read: then nothing more is read of it.
constexpr size_t kMostUnread = 1024;

absl::Status OpenMissing() {
  return Invalid("OPEN_MISSING", "the first message must be `open`", "open");
}

}  // namespace

std::shared_ptr<WorldStream> WorldStream::Create(const StreamContext& context,
                                                 std::shared_ptr<StreamTransport> transport) {
  std::shared_ptr<WorldStream> stream(new WorldStream(context, std::move(transport)));
  if (context.live_streams) stream->entry_ = context.live_streams->Add(stream);
  return stream;
}

WorldStream::WorldStream(const StreamContext& context, std::shared_ptr<StreamTransport> transport)
    : context_(context),
      transport_(std::move(transport)),
      strand_(context.pool),
      media_strand_(context.pool),
      outbox_(0, context.observer) {}

WorldStream::~WorldStream() = default;

// ---- Reading. ----

void WorldStream::Handle(WorldRequest request) {
  absl::Status status;
  if (auto* open = std::get_if<OpenWorld>(&request)) {
    status = Take(std::move(*open));
  } else {
    MutexLock lock(&mu_);
    if (outbox_.ended()) return;
    if (phase_ == Phase::kNew) status = OpenMissing();
    if (phase_ == Phase::kOpening && static_cast<int>(early_.size()) >= WorldInbox::kMost) {
      status = Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_MESSAGES",
                     "too much was sent before the session was open");
    }
    if (phase_ == Phase::kOpening && status.ok()) {
      early_.push_back(std::move(request));
      return;
    }
  }
  if (!status.ok()) return Fail(status);
  if (!std::holds_alternative<OpenWorld>(request)) Hear(std::move(request));
}

void WorldStream::Hear(WorldRequest request) {
  absl::Status status;
  {
    MutexLock lock(&mu_);
    if (outbox_.ended() || !inbox_) return;
    last_said_ = context_.clock->Now();
    if (hold_ && told_ == Told::kOpened) hold_.Confirm();
    if (auto* actions = std::get_if<WorldActions>(&request)) status = Take(*actions);
    if (auto* prompt = std::get_if<WorldPrompt>(&request)) status = Take(std::move(*prompt));
    if (auto* control = std::get_if<WorldControl>(&request)) status = Take(*control);
    if (auto* credit = std::get_if<WorldCredit>(&request)) status = Take(*credit);
    WakeLane();
  }
  if (!status.ok()) Fail(status);
}

absl::Status WorldStream::Take(const WorldActions& actions) {
  auto checked = CheckActions(*info_->world, pacing_, actions);
  if (!checked.ok()) return checked.status();
  return inbox_->Add(*std::move(checked), last_said_);
}

absl::Status WorldStream::Take(WorldPrompt prompt) {
  const char* field = prompt.embedding.empty() ? "prompt.text" : "prompt.embedding";
  if (absl::Status status = CheckPrompt(*info_->world, prompt, field); !status.ok()) {
    return status;
  }
  absl::Status added = inbox_->Add(SavedPrompt{.text = std::move(prompt.text),
                                               .embedding = std::move(prompt.embedding),
                                               .apply_at_block = prompt.apply_at_block});
  if (added.ok()) PostPrompts();
  return added;
}

absl::Status WorldStream::Take(WorldControl control) {
  if (control == WorldControl::kSnapshot && snapshots_asked_ >= kMostSnapshots) {
    return Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_SNAPSHOTS",
                 absl::StrCat("at most ", kMostSnapshots, " snapshots can be under way"));
  }
  snapshots_asked_ += control == WorldControl::kSnapshot;
  return inbox_->Add(control);
}

absl::Status WorldStream::Take(WorldCredit credit) {
  if (credit.blocks < 1 || credit.blocks > kMostCredit) {
    return Invalid("OUT_OF_RANGE", absl::StrCat("credit must be from 1 to ", kMostCredit),
                   "credit.blocks");
  }
  inbox_->AddCredit(credit.blocks);
  return absl::OkStatus();
}

void WorldStream::HalfClose() {
  absl::Status status;
  {
    MutexLock lock(&mu_);
    if (outbox_.ended()) return;
    if (phase_ == Phase::kNew) status = OpenMissing();
    if (phase_ == Phase::kOpening) early_close_ = true;
    if (phase_ == Phase::kOpen) status = inbox_->HalfClose();
    WakeLane();
  }
  if (!status.ok()) Fail(status);
}

void WorldStream::Cancel() {
  Fail(Error(absl::StatusCode::kCancelled, "CANCELLED", "the client cancelled or went away"));
}

void WorldStream::Fail(const absl::Status& status) {
  std::shared_ptr<Opening> given_up;
  {
    MutexLock lock(&mu_);
    if (!outbox_.Fail(status)) return;
    early_.clear();
    given_up.swap(awaiting_model_);
    Leave({.park = true, .end = status});
  }
  if (given_up) GiveUp(given_up, status);
  transport_->WakeWriter();
}

bool WorldStream::ReadyForMore() {
  MutexLock lock(&mu_);
  reader_waits_ = !outbox_.ended() && HoldsReader();
  return !reader_waits_;
}

bool WorldStream::HoldsReader() const {
  return phase_ == Phase::kOpening || outbox_.messages() >= kMostUnread ||
         (inbox_ && inbox_->enough());
}

// Whether a reader that was held back is to be woken.
bool WorldStream::ReaderMayGoOn() {
  return reader_waits_ && !HoldsReader() && std::exchange(reader_waits_, false);
}

void WorldStream::WakeLane() {
  if (lane_ != nullptr) lane_->Wake();
}

void WorldStream::Leave(Leaving leaving) {
  if (!leaving_) leaving_ = std::move(leaving);
  WakeLane();
}

// ---- Prompts, on the strand. ----

void WorldStream::PostPrompts() {
  if (preparing_ || !inbox_->NextToPrepare()) return;
  preparing_ = true;
  strand_.Post([self = shared_from_this()] { self->PreparePrompts(); });
}

void WorldStream::PreparePrompts() {
  while (true) {
    std::optional<WorldInbox::ToPrepare> next;
    {
      MutexLock lock(&mu_);
      if (!outbox_.ended()) next = inbox_->NextToPrepare();
      if (!next) {
        preparing_ = false;
        return;
      }
    }
    TraceSpan span(context_.tracer, "front_end");
    auto prepared = context_.engine->Prepare(
        model_, {.text = next->prompt.text, .embedding = next->prompt.embedding});
    if (prepared.ok() && *prepared == nullptr) {
      prepared = Invalid("PROMPT_EMPTY", "this world makes nothing of that prompt", "prompt");
    }
    if (!prepared.ok()) return Fail(prepared.status());
    MutexLock lock(&mu_);
    inbox_->Prepared(next->id, *std::move(prepared));
    WakeLane();
  }
}

// ---- What the store asks. ----

void WorldStream::TakenOver() {
  MutexLock lock(&mu_);
  Leave({.park = true,
         .end = Error(absl::StatusCode::kAborted, "SESSION_TAKEN_OVER",
                      "the session was resumed elsewhere")});
}

void WorldStream::Deleted() {
  WorldHold dropped;
  {
    MutexLock lock(&mu_);
    dropped = std::move(hold_);
    outbox_.Fail(Error(absl::StatusCode::kAborted, "SESSION_DELETED", "the session was deleted"));
    leaving_ = Leaving{};
    if (lane_ != nullptr) lane_->Close(session_);
  }
  transport_->WakeWriter();
}

void WorldStream::Draining(absl::Duration remaining) {
  {
    MutexLock lock(&mu_);
    if (inbox_) {
      PutNotice({.kind = WorldNotice::Kind::kDraining,
                 .message = "the server is shutting down",
                 .remaining = remaining});
    } else {
      draining_ = remaining;  // Announce() says so
    }
    if (remaining <= absl::ZeroDuration()) {
      Leave({.park = true, .reason = WorldSummary::Reason::kDrained});
    }
  }
  transport_->WakeWriter();
}

// ---- Writing. ----

void WorldStream::PutNotice(WorldNotice notice) {
  notice.skipped_blocks = summary_.skipped_blocks;
  outbox_.Put({std::move(notice), {}});
}

WorldStream::NextResult WorldStream::Next() {
  const absl::Time now = context_.clock->Now();
  WorldRecord record;
  {
    MutexLock lock(&mu_);
    if (auto outgoing = outbox_.Take()) {
      write_began_ = Clock::Steady().Now();
      Sending(*outgoing, now);
      return std::move(outgoing->message);
    }
    switch (outbox_.NextTurn()) {
      case Outbox<Outgoing>::Turn::kNothing:
        return std::monostate();
      case Outbox<Outgoing>::Turn::kSummary:
        return Summarize(now);
      case Outbox<Outgoing>::Turn::kEnd:
        break;
    }
    record = {.model = info_ == nullptr ? "" : info_->name,
              .admitted = info_ != nullptr,
              .end = {outbox_.status(), request_id_, Summarize(now)}};
  }
  CallId call = transport_->call();
  if (record.end.request_id.empty()) record.end.request_id = std::move(call.request_id);
  record.traceparent = std::move(call.traceparent);
  context_.observer->OnWorldEnded(record);
  return std::move(record.end);
}

void WorldStream::Sending(const Outgoing& outgoing, absl::Time now) {
  if (std::holds_alternative<WorldOpened>(outgoing.message)) told_ = Told::kWriting;
  if (std::holds_alternative<WorldBlock>(outgoing.message)) {
    if (!first_byte_) first_byte_ = now;
    summary_.blocks += 1;
    for (absl::Time arrival : outgoing.arrivals) {
      context_.observer->OnActionToFrame(info_->name, now - arrival);
    }
  }
  const auto* notice = std::get_if<WorldNotice>(&outgoing.message);
  if (notice != nullptr && notice->kind == WorldNotice::Kind::kLate) late_noticed_ = false;
  WakeLane();  // room in the outbox may let it go on
}

WorldSummary WorldStream::Summarize(absl::Time now) const {
  WorldSummary summary = summary_;
  if (info_ == nullptr) return summary;
  RequestTiming& timing = summary.timing;
  timing.total = now - opened_;
  if (first_byte_) timing.first_byte = *first_byte_ - opened_;
  const absl::Duration media =
      absl::Seconds(static_cast<double>(summary.blocks) * info_->world->frames_per_block /
                    info_->world->frames_per_second);
  if (media > absl::ZeroDuration()) timing.realtime_factor = absl::FDivDuration(running_, media);
  return summary;
}

void WorldStream::OnWritten() {
  bool wake_reader = false;
  {
    MutexLock lock(&mu_);
    TraceWrite(context_.tracer, write_began_, request_id_);
    if (told_ == Told::kWriting) told_ = Told::kOpened;
    wake_reader = ReaderMayGoOn();
  }
  if (wake_reader) transport_->WakeReader();
}

// ---- Seen from outside. ----

StreamReport::State WorldStream::Doing() const {
  using State = StreamReport::State;
  if (finished_ || leaving_) return State::kEnding;
  if (!inbox_ || lane_ == nullptr) return State::kOpening;
  if (under_way_) return State::kRunning;
  if (inbox_->paused()) return State::kPaused;
  if (!HasRoom() || inbox_->out_of_credit()) return State::kBlocked;
  return inbox_->wish(/*room=*/true) == WorldInbox::Wish::kNothing ? State::kWaiting
                                                                   : State::kRunning;
}

std::optional<StreamReport> WorldStream::Report(absl::Time now) const {
  MutexLock lock(&mu_);
  if (outbox_.ended()) return std::nullopt;
  StreamReport report{.request_id = request_id_, .method = kMethod, .state = Doing()};
  if (phase_ == Phase::kNew) return report;
  report.age = now - opened_;
  if (lane_ == nullptr) return report;
  report.model = info_->name;
  report.lane = lane_->index();
  report.outbox_bytes = outbox_.used();
  report.blocks = next_block_;
  return report;
}

void WorldStream::Evict(absl::string_view model, const absl::Status& status) {
  {
    MutexLock lock(&mu_);
    if (asked_ == nullptr || asked_->name != model) return;
  }
  Fail(status);
}

}  // namespace firstbyte

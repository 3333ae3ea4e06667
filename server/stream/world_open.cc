// WorldStream, the beginning: a new session, a parked one, or a snapshot.

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/ids.h"
#include "server/stream/world_stream.h"

namespace firstbyte {
namespace {

constexpr double kMostFps = 240;
// Until the first picture: what a player should wait at most for scene and first block.
constexpr absl::Duration kFirstBlockTarget = absl::Milliseconds(50);
constexpr int64_t kOutboxBytes = 256 << 10;
constexpr int kOutboxBlocks = 4;

absl::Status BadImage(const absl::Status& status) {
  return Error(status.code(), DetailOf(status).reason, status.message(),
               "open.create.initial_image");
}

absl::Status CheckDuration(const std::optional<absl::Duration>& duration, absl::string_view field) {
  if (!duration || *duration > absl::ZeroDuration()) return absl::OkStatus();
  return Invalid("OUT_OF_RANGE", "must be more than zero", field);
}

absl::Status CheckOpen(const OpenWorld& open) {
  if (!(open.target_fps >= 0 && open.target_fps <= kMostFps)) {
    return Invalid("OUT_OF_RANGE", absl::StrCat("target_fps must be from 0 to ", kMostFps),
                   "open.target_fps");
  }
  absl::Status status =
      CheckDuration(open.max_session_duration, "open.limits.max_session_duration");
  if (!status.ok()) return status;
  return CheckDuration(open.max_idle_duration, "open.limits.max_idle_duration");
}

absl::Duration BlockPeriod(const WorldInfo& world, const OpenWorld& open) {
  const bool other = open.pacing == Pacing::kRealtime && open.target_fps > 0;
  return absl::Seconds(world.frames_per_block /
                       (other ? open.target_fps : world.frames_per_second));
}

int64_t OutboxBytes(const WorldMedia& media) {
  return std::max(kOutboxBytes, kOutboxBlocks * media.max_block_bytes());
}

// Which of `world`'s blocks the player lacks, or why that cannot be said.
absl::Status DropReceived(int64_t last_received, SavedWorld* world) {
  std::vector<SavedBlock>& blocks = world->blocks;
  const int64_t oldest = blocks.empty() ? world->next_block : blocks.front().output.block;
  if (last_received < -1 || last_received >= world->next_block || last_received + 1 < oldest) {
    return Error(absl::StatusCode::kOutOfRange, "BLOCKS_GONE",
                 absl::StrCat("blocks after ", last_received, " cannot be sent: held are ", oldest,
                              " to ", world->next_block - 1),
                 "open.resume.last_block_received");
  }
  blocks.erase(std::remove_if(blocks.begin(), blocks.end(),
                              [&](const SavedBlock& b) { return b.output.block <= last_received; }),
               blocks.end());
  return absl::OkStatus();
}

}  // namespace

struct WorldStream::Opening {
  OpenWorld open;
  Seat seat;
  SessionSpec spec;
  std::shared_ptr<const RawInput> said;  // what spec.scene was prepared from, if it is kept
  OpenStep next = nullptr;               // once the model is resident, on the strand
  absl::Time chosen;
  // A saved one.
  WorldHold hold;
  std::optional<SavedWorld> world;
};

absl::Status WorldStream::Take(OpenWorld open) {
  {
    MutexLock lock(&mu_);
    if (outbox_.ended()) return absl::OkStatus();
    if (phase_ != Phase::kNew) return Invalid("OPEN_REPEATED", "`open` was already sent", "open");
    phase_ = Phase::kOpening;
    request_id_ = open.request_id.empty() ? NewUuid() : open.request_id;
    opened_ = context_.clock->Now();
  }
  if (absl::Status status = CheckOpen(open); !status.ok()) return status;
  auto opening = std::make_shared<Opening>();
  opening->open = std::move(open);
  return std::visit([&](const auto& origin) { return Begin(opening, origin); },
                    opening->open.origin);
}

absl::Status WorldStream::Begin(const std::shared_ptr<Opening>& opening, const CreateWorld&) {
  if (absl::Status status = Choose(opening->open.model, opening.get()); !status.ok()) return status;
  AwaitModel(opening, &WorldStream::OpenNew);
  return absl::OkStatus();
}

absl::Status WorldStream::Begin(const std::shared_ptr<Opening>& opening,
                                const ResumeWorld& resume) {
  // Before the claim, which would only have to be undone.
  if (context_.engine->admission().draining()) return DrainingError();
  context_.worlds->Resume(
      {.tenant = opening->open.tenant,
       .session_id = resume.session_id,
       .token = resume.token,
       .holder = weak_from_this()},
      [self = shared_from_this(), opening](absl::StatusOr<WorldStore::Claimed> claimed) {
        if (!claimed.ok()) return self->Fail(claimed.status());
        opening->hold = std::move(claimed->hold);
        opening->world = std::move(claimed->world);
        self->strand_.Post([self, opening] { self->OpenSaved(opening); });
      });
  return absl::OkStatus();
}

absl::Status WorldStream::Begin(const std::shared_ptr<Opening>& opening,
                                const FromSnapshot& snapshot) {
  context_.worlds->LoadSnapshot(
      opening->open.tenant, snapshot.snapshot_id,
      [self = shared_from_this(), opening](absl::StatusOr<SavedWorld> world) {
        if (!world.ok()) return self->Fail(world.status());
        opening->world = *std::move(world);
        self->strand_.Post([self, opening] { self->OpenSaved(opening); });
      });
  return absl::OkStatus();
}

// The model, the coding of its media, and a seat.
absl::Status WorldStream::Choose(const std::string& model, Opening* opening) {
  auto found = context_.engine->FindWorld(model);
  if (!found.ok()) return found.status();
  const ModelInfo& info = context_.engine->info(*found);
  const OpenWorld& open = opening->open;
  auto media = WorldMedia::Create(info, open);
  if (!media.ok()) return media.status();
  if (absl::Status status = CheckPace(*found, open); !status.ok()) return status;
  {
    MutexLock lock(&mu_);
    asked_ = &info;  // before there is a seat, so that Evict() misses none
  }
  const absl::Duration own_period = BlockPeriod(*info.world, {});
  auto seat = context_.engine->admission().Admit(
      {.model = *found,
       .pace = open.pacing == Pacing::kRealtime
                   ? absl::FDivDuration(own_period, BlockPeriod(*info.world, open))
                   : kUnpaced,
       .encoding = (*media)->EncodingCost(context_.engine->media_costs(*found)),
       .time_left = open.time_left,
       .tenant = open.tenant,
       .bytes = OutboxBytes(**media) + BlockHistory::kBytes + info.world->state_bytes});
  if (!seat.ok()) return seat.status();
  opening->seat = *std::move(seat);
  model_ = *found;
  media_ = *std::move(media);
  pacing_ = open.pacing;
  tenant_ = open.tenant;
  period_ = BlockPeriod(*info.world, open);
  idle_ =
      std::min(context_.max_world_idle, open.max_idle_duration.value_or(absl::InfiniteDuration()));
  lifetime_ = std::min(context_.max_world_duration,
                       open.max_session_duration.value_or(absl::InfiniteDuration()));
  // With Next(), which reports the end: a stream is started if and only if its end says so.
  MutexLock lock(&mu_);
  if (outbox_.ended()) return absl::CancelledError("ended meanwhile");
  info_ = &info;
  context_.observer->OnStarted(kMethod, info.name);
  return absl::OkStatus();
}

// Says nothing against a model whose blocks have not been measured yet.
absl::Status WorldStream::CheckPace(int model, const OpenWorld& open) const {
  const absl::Duration cost = context_.engine->block_cost(model);
  const absl::Duration period = BlockPeriod(*context_.engine->info(model).world, open);
  if (open.pacing != Pacing::kRealtime || cost <= period) return absl::OkStatus();
  return Error(absl::StatusCode::kResourceExhausted, "FPS_TOO_HIGH",
               absl::StrCat("one block takes ", absl::FormatDuration(cost)), "open.target_fps");
}

// `next` follows on the strand, at once unless the model has to be loaded first.
void WorldStream::AwaitModel(const std::shared_ptr<Opening>& opening, OpenStep next) {
  opening->next = next;
  opening->chosen = context_.clock->Now();
  {
    MutexLock lock(&mu_);
    awaiting_model_ = opening;
  }
  // Weak: a stream that is cancelled does not wait for the load.
  auto loaded = [weak = weak_from_this()](const absl::Status& status) {
    if (auto self = weak.lock()) self->Loaded(status);
  };
  if (context_.engine->EnsureLoaded(model_, loaded)) OpenChosen();
}

void WorldStream::Loaded(const absl::Status& status) {
  std::shared_ptr<Opening> opening;
  {
    MutexLock lock(&mu_);
    if (!awaiting_model_) return;  // ended meanwhile
    summary_.timing.model_load = context_.clock->Now() - awaiting_model_->chosen;
    if (!status.ok()) opening.swap(awaiting_model_);
  }
  opening ? GiveUp(opening, status) : OpenChosen();
}

void WorldStream::OpenChosen() {
  std::shared_ptr<Opening> opening;
  {
    MutexLock lock(&mu_);
    opening.swap(awaiting_model_);
    info_ = &context_.engine->info(model_);  // it may have been the one that was listed
  }
  if (!opening) return;  // ended meanwhile
  absl::Status pace = CheckPace(model_, opening->open);
  if (!pace.ok()) return GiveUp(opening, pace);
  strand_.Post([self = shared_from_this(), opening] { (self.get()->*opening->next)(opening); });
}

void WorldStream::OpenNew(const std::shared_ptr<Opening>& opening) {
  const auto& create = std::get<CreateWorld>(opening->open.origin);
  const WorldInfo& world = *info_->world;
  const absl::Time begin = context_.clock->Now();
  RawInput raw{.text = create.prompt};
  if (!create.initial_image.empty()) {
    auto image = DecodeImage(create.initial_image, create.initial_image_format, {}, world.width,
                             world.height);
    if (!image.ok()) return GiveUp(opening, BadImage(image.status()));
    raw.image = *std::move(image);
  }
  absl::Status status = CheckPrompt(world, {.text = create.prompt}, "open.create.prompt");
  if (!status.ok()) return GiveUp(opening, status);
  auto scene = context_.engine->Prepare(model_, raw);
  if (!scene.ok()) return GiveUp(opening, scene.status());
  seed_ = create.seed.value_or(NewSeed());
  opening->spec = {.seed = seed_, .scene = *std::move(scene)};
  if (context_.keep_inputs) opening->said = std::make_shared<RawInput>(std::move(raw));
  {
    MutexLock lock(&mu_);
    summary_.timing.prefill = context_.clock->Now() - begin;
  }
  Install(opening);
}

void WorldStream::OpenSaved(const std::shared_ptr<Opening>& opening) {
  const std::string &asked = opening->open.model, &model = opening->world->model;
  absl::Status status;
  if (!asked.empty() && asked != model) {
    status =
        Invalid("MODEL_MISMATCH", absl::StrCat("this session plays '", model, "'"), "open.model");
  }
  if (status.ok()) status = Choose(model, opening.get());
  if (!status.ok()) return GiveUp(opening, status);
  AwaitModel(opening, &WorldStream::OpenLoaded);
}

void WorldStream::OpenLoaded(const std::shared_ptr<Opening>& opening) {
  if (absl::Status status = CheckSaved(opening.get()); !status.ok()) {
    return GiveUp(opening, status);
  }
  seed_ = opening->world->seed;
  opening->spec = {.seed = seed_, .state = opening->world->state};
  Install(opening);
}

absl::Status WorldStream::CheckSaved(Opening* opening) {
  const OpenWorld& open = opening->open;
  SavedWorld& world = *opening->world;
  if (absl::Status status = CheckModel(world, *info_); !status.ok()) return status;
  if (absl::Status status = CheckInputs(*info_->world, world); !status.ok()) return status;
  if (const auto* resume = std::get_if<ResumeWorld>(&open.origin)) {
    return DropReceived(resume->last_block_received, &world);
  }
  world.blocks.clear();
  return absl::OkStatus();
}

void WorldStream::Install(const std::shared_ptr<Opening>& opening) {
  const absl::Time now = context_.clock->Now();
  std::vector<std::shared_ptr<const BlockUnderWay>> again;
  bool ended = false;
  {
    MutexLock lock(&mu_);
    ended = outbox_.ended();
    if (!ended) {
      hold_ = std::move(opening->hold);
      if (!hold_) hold_ = context_.worlds->Register(tenant_, *info_, weak_from_this());
      outbox_.set_capacity(OutboxBytes(*media_));
      pacer_.emplace(pacing_, period_, context_.engine->block_cost(model_));
      last_said_ = now;
      work_due_ = now + kFirstBlockTarget;
      if (opening->world) {
        inbox_.emplace(pacing_, *opening->world, now);
        again = Restore(&*opening->world);
      } else {
        inbox_.emplace(pacing_);
      }
      Announce();
    }
  }
  if (ended) return GiveUp(opening, absl::CancelledError("ended meanwhile"));
  for (const auto& block : again) Send(block);
  {
    MutexLock lock(&mu_);
    lane_ = &context_.engine->lane(opening->seat.lane());
    session_ = lane_->Open({.spec = std::move(opening->spec),
                            .tenant = tenant_,
                            .port = shared_from_this(),
                            .seat = std::move(opening->seat),
                            .said = std::move(opening->said)});
    PostPrompts();
  }
  transport_->WakeWriter();
  HandleEarly();
}

// Goes on where `world` stopped; returns the blocks to send again.
std::vector<std::shared_ptr<const WorldStream::BlockUnderWay>> WorldStream::Restore(
    SavedWorld* world) {
  next_block_ = world->next_block;
  media_clock_ = world->media_clock;
  skipped_before_ = world->skipped_blocks;
  std::vector<std::shared_ptr<const BlockUnderWay>> again;
  for (SavedBlock& block : world->blocks) {
    auto resent = std::make_shared<BlockUnderWay>();
    resent->block = std::move(block);
    resent->resent = true;
    history_.Add({resent, &resent->block});
    again.push_back(std::move(resent));
  }
  return again;
}

void WorldStream::Announce() {
  WorldOpened opened{.request_id = request_id_,
                     .session_id = hold_.session_id(),
                     .token = hold_.token(),
                     .model = info_,
                     .seed = seed_,
                     .fps = info_->world->frames_per_block / absl::ToDoubleSeconds(period_),
                     .next_block = next_block_,
                     .last_action_sequence = inbox_->newest().sequence};
  media_->Describe(&opened);
  outbox_.Put({std::move(opened), {}});
  if (draining_) {
    PutNotice({.kind = WorldNotice::Kind::kDraining,
               .message = "the server is shutting down",
               .remaining = *draining_});
  }
}

// A session that was claimed goes back to where it was, and only then does the client hear of it.
void WorldStream::GiveUp(const std::shared_ptr<Opening>& opening, const absl::Status& status) {
  opening->seat = Seat();
  if (!opening->hold) return Fail(status);
  context_.worlds->Park(
      std::move(opening->hold), *std::move(opening->world),
      [self = shared_from_this(), status](const absl::Status&) { self->Fail(status); });
}

// What was said while the session opened, in order, before anything said from now on.
void WorldStream::HandleEarly() {
  while (true) {
    WorldRequest next = WorldCredit{};
    {
      MutexLock lock(&mu_);
      if (early_.empty()) {
        phase_ = Phase::kOpen;
        break;
      }
      next = std::move(early_.front());
      early_.pop_front();
    }
    Hear(std::move(next));
  }
  bool close = false, wake = false;
  {
    MutexLock lock(&mu_);
    close = std::exchange(early_close_, false);
    wake = ReaderMayGoOn();
  }
  if (close) HalfClose();
  if (wake) transport_->WakeReader();
}

}  // namespace firstbyte

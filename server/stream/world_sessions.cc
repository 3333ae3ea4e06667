#include "server/stream/world_sessions.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/error.h"
#include "base/ids.h"
#include "base/log.h"
#include "nlohmann/json.hpp"
#include "server/stream/largest_share.h"
#include "server/stream/saved_header.h"
#include "server/stream/sha256.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kMaxHandOver = absl::Seconds(5);  // a holder parks within a step
constexpr absl::Duration kFileReapPeriod = absl::Minutes(1);

absl::Status Denied(absl::string_view reason, absl::string_view message) {
  return Error(absl::StatusCode::kPermissionDenied, reason, message, "open.resume.token");
}

absl::Status Busy() {
  return Error(absl::StatusCode::kUnavailable,
               {.reason = "SESSION_BUSY", .retry_after = absl::Seconds(1)},
               "the session is being resumed by somebody at this moment");
}

}  // namespace

absl::Status WorldSessions::NotFound() {
  return Error(absl::StatusCode::kNotFound, "SESSION_NOT_FOUND", "there is no such session",
               "session_id");
}

WorldSessions::WorldSessions(const WorldStoreOptions& options, std::optional<WorldFiles> files,
                             WorldStore* store)
    : options_(options),
      files_(std::move(files)),
      signer_(options.token_secret.empty() ? RandomBytes(32) : options.token_secret),
      store_(store) {}

// ---- Held sessions. ----

WorldHold WorldSessions::Register(const std::string& tenant, const ModelInfo& info,
                                  std::weak_ptr<WorldHolder> holder) {
  auto entry = Entry(new WorldEntry{.tenant = tenant,
                                    .id = NewUuid(),
                                    .model = info.name,
                                    .state_bytes = info.world ? info.world->state_bytes : 0,
                                    .open_time = absl::Now()});
  entry->holder = std::move(holder);
  MutexLock lock(&mu_);
  sessions_[{tenant, entry->id}] = entry;
  ++held_;
  return WorldHold(store_, entry);
}

std::optional<WorldSessions::Waiting> WorldSessions::Drop(const Entry& entry) {
  MutexLock lock(&mu_);
  Release(entry);
  Forget(entry);
  return std::exchange(entry->waiting, std::nullopt);
}

void WorldSessions::Release(const Entry& entry) {
  entry->held = false;
  --held_;
  released_.NotifyAll();
}

SavedWorld WorldSessions::Unpark(const Entry& entry) {
  SavedWorld world = *std::move(entry->world);
  entry->world.reset();
  parked_bytes_ -= world.bytes();
  parked_.remove(entry);
  return world;
}

void WorldSessions::Forget(const Entry& entry) {
  if (Find(entry->tenant, entry->id) == entry) sessions_.erase({entry->tenant, entry->id});
  if (entry->world) Unpark(entry);
}

std::string WorldSessions::TokenOf(const WorldEntry& entry) const {
  return signer_.Sign(entry.tenant, entry.id, entry.generation);
}

std::vector<std::shared_ptr<WorldHolder>> WorldSessions::holders() const {
  std::vector<std::shared_ptr<WorldHolder>> holders;
  MutexLock lock(&mu_);
  for (const auto& [key, entry] : sessions_) {
    if (auto holder = entry->held ? entry->holder.lock() : nullptr) holders.push_back(holder);
  }
  return holders;
}

bool WorldSessions::WaitUntilNoneHeld(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  MutexLock lock(&mu_);
  while (held_ > 0) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    released_.WaitFor(&mu_, absl::ToChronoMilliseconds(left) + std::chrono::milliseconds(1));
  }
  return true;
}

WorldSessions::Entry WorldSessions::Find(const std::string& tenant, const std::string& id) const {
  auto row = sessions_.find({tenant, id});
  return row == sessions_.end() ? nullptr : row->second;
}

WorldStore::Counts WorldSessions::counts() const {
  MutexLock lock(&mu_);
  WorldStore::Counts counts{.parked = static_cast<int>(parked_.size()) + file_count_,
                            .parked_bytes = parked_bytes_};
  for (const auto& [key, entry] : sessions_) {
    if (entry->held) ++(entry->paused ? counts.paused : counts.running);
  }
  return counts;
}

// ---- Parking. ----

absl::Status WorldSessions::Park(const Entry& entry, SavedWorld world) {
  entry->next_block = world.next_block;
  std::optional<Waiting> waiting;
  std::optional<Claimed> claimed;
  bool deleted = false;
  {
    MutexLock lock(&mu_);
    Release(entry);
    waiting = std::exchange(entry->waiting, std::nullopt);
    deleted = Find(entry->tenant, entry->id) != entry;
    const bool wanted = waiting && !waiting->claim.holder.expired();
    if (wanted && !deleted) claimed = Grant(entry, waiting->claim.holder, std::move(world));
  }
  if (claimed) {
    waiting->done(*std::move(claimed));
    return absl::OkStatus();
  }
  if (waiting) waiting->done(NotFound());
  if (deleted) return NotFound();
  world.session = SavedSession{entry->id, entry->generation, entry->confirmed, entry->open_time};
  if (files_ && ParkInFile(*entry, world).ok()) {
    MutexLock lock(&mu_);
    Forget(entry);
    return absl::OkStatus();
  }
  return ParkInMemory(entry, std::move(world));
}

absl::Status WorldSessions::ParkInFile(const WorldEntry& entry, const SavedWorld& world) const {
  absl::Status status;
  if (files_->bytes() + world.bytes() > options_.max_parked_bytes) {
    status = absl::ResourceExhaustedError("parked sessions hold as much as they may");
  }
  if (status.ok()) status = files_->Write(entry.tenant, entry.id, SerializeWorld(world));
  if (!status.ok()) {
    LogWarning("parked_in_memory", {{"session", entry.id}, {"reason", status.message()}});
  }
  return status;
}

absl::Status WorldSessions::ParkInMemory(const Entry& entry, SavedWorld world) {
  MutexLock lock(&mu_);
  parked_bytes_ += world.bytes();
  entry->world = std::move(world);
  entry->expires = options_.clock->Now() + options_.park_timeout;
  parked_.push_back(entry);
  MakeRoom();
  if (entry->world) return absl::OkStatus();
  return Error(absl::StatusCode::kResourceExhausted, "PARKING_FULL",
               "the session is larger than the room for parked ones");
}

void WorldSessions::MakeRoom() {
  while (parked_bytes_ > options_.max_parked_bytes ||
         static_cast<int>(parked_.size()) > options_.max_parked_sessions) {
    Forget(*OldestOfLargestShare(
        parked_, [](const Entry& entry) { return entry->tenant; },
        [](const Entry& entry) { return entry->world->bytes(); }));
  }
}

// ---- Resuming. ----

absl::Status WorldSessions::CheckToken(const WorldStore::Claim& claim, int64_t generation,
                                       int64_t confirmed, bool held) const {
  const std::optional<int64_t> token = signer_.Verify(claim.token, claim.tenant, claim.session_id);
  if (!token || *token > generation) {
    return Denied("TOKEN_INVALID", "the token is not one of this session");
  }
  if (*token < confirmed) {
    return Denied("TOKEN_SUPERSEDED", "the session was resumed since; its newer token is needed");
  }
  return held && *token < generation ? Busy() : absl::OkStatus();
}

void WorldSessions::Resume(WorldStore::Claim claim, WorldStore::Done<Claimed> done) {
  std::shared_ptr<WorldHolder> holder;
  std::optional<absl::StatusOr<Claimed>> result;
  bool here = false;
  {
    MutexLock lock(&mu_);
    if (const Entry entry = Find(claim.tenant, claim.session_id)) {
      here = true;
      result = ResumeHere(entry, claim, done);
      if (!result) holder = entry->holder.lock();
    }
  }
  if (!here) result = ResumeFile(claim);
  if (result) return done(*std::move(result));
  if (holder) holder->TakenOver();
}

// Nothing: the holder is to park it first; then `done` is called.
std::optional<absl::StatusOr<WorldSessions::Claimed>> WorldSessions::ResumeHere(
    const Entry& entry, const WorldStore::Claim& claim, const WorldStore::Done<Claimed>& done) {
  absl::Status status = CheckToken(claim, entry->generation, entry->confirmed, entry->held);
  if (status.ok() && entry->waiting) status = Busy();
  if (!status.ok()) return status;
  if (!entry->held) return Grant(entry, claim.holder, Unpark(entry));
  entry->waiting = Waiting{claim, done, options_.clock->Now() + kMaxHandOver};
  return std::nullopt;
}

WorldSessions::Claimed WorldSessions::Grant(const Entry& entry, std::weak_ptr<WorldHolder> holder,
                                            SavedWorld world) {
  world.session.reset();
  ++entry->generation;
  entry->held = true;
  entry->paused = false;
  entry->holder = std::move(holder);
  ++held_;
  return {WorldHold(store_, entry), std::move(world)};
}

absl::StatusOr<WorldSessions::Claimed> WorldSessions::ResumeFile(const WorldStore::Claim& claim) {
  absl::StatusOr<SavedWorld> world = TakeFile(claim);
  if (!world.ok()) return world.status();
  const SavedSession session = *world->session;
  auto entry = Entry(new WorldEntry{.tenant = claim.tenant,
                                    .id = claim.session_id,
                                    .model = world->model,
                                    .state_bytes = static_cast<int64_t>(world->state->size()),
                                    .open_time = session.open_time});
  entry->generation = session.generation;
  entry->confirmed = session.confirmed;
  entry->next_block = world->next_block;
  MutexLock lock(&mu_);
  sessions_[{claim.tenant, claim.session_id}] = entry;
  return Grant(entry, claim.holder, *std::move(world));
}

absl::StatusOr<SavedWorld> WorldSessions::TakeFile(const WorldStore::Claim& claim) const {
  auto check = [&](const absl::StatusOr<SavedWorld>& world) {
    if (!world.ok()) return world.status();
    const std::optional<SavedSession>& session = world->session;
    if (!session || session->id != claim.session_id) return Corrupted("it is not this session's");
    return CheckToken(claim, session->generation, session->confirmed, /*held=*/false);
  };
  // The token is looked at before the file is touched: nobody else's claim may fail for a bad one.
  absl::StatusOr<SavedHeader> header = ReadFileHeader(claim.tenant, claim.session_id);
  if (!header.ok()) return header.status();
  if (absl::Status status = check(std::move(header->world)); !status.ok()) return status;
  absl::StatusOr<std::string> bytes = files_->Take(claim.tenant, claim.session_id);
  if (absl::IsNotFound(bytes.status())) return NotFound();  // somebody was faster
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<SavedWorld> world = ParseWorld(*bytes);
  // It may have been claimed and parked again meanwhile: then this is a newer one than we looked
  // at.
  if (absl::Status status = check(world); !status.ok()) {
    if (absl::IsPermissionDenied(status)) {
      files_->Write(claim.tenant, claim.session_id, *bytes).IgnoreError();
    }
    return status;
  }
  return world;
}

absl::StatusOr<SavedHeader> WorldSessions::ReadFileHeader(const std::string& tenant,
                                                          const std::string& id) const {
  if (!files_ || files_->WriteTime(tenant, id) + options_.park_timeout < absl::Now()) {
    return NotFound();
  }
  auto beginning = files_->Read(tenant, id, kMaxWorldHeaderBytes);
  if (absl::IsNotFound(beginning.status())) return NotFound();
  if (!beginning.ok()) return beginning.status();
  return ParseWorldHeader(*beginning);
}

// ---- Lists. ----

WorldSessionInfo WorldSessions::InfoOf(const WorldEntry& entry) const {
  WorldSessionInfo info{
      .session_id = entry.id,
      .model = entry.model,
      .state = entry.paused ? WorldSessionState::kPaused : WorldSessionState::kRunning,
      .next_block = entry.next_block,
      .state_bytes = entry.state_bytes,
      .open_time = entry.open_time};
  if (entry.held) return info;
  info.state = WorldSessionState::kParked;
  info.expire_time = absl::Now() + (entry.expires - options_.clock->Now());
  return info;
}

absl::StatusOr<WorldSessionInfo> WorldSessions::InfoOfFile(const std::string& tenant,
                                                           const std::string& id) const {
  absl::StatusOr<SavedHeader> header = ReadFileHeader(tenant, id);
  if (!header.ok()) return header.status();
  if (!header->world.session) return Corrupted("it is not a session");
  return WorldSessionInfo{.session_id = id,
                          .model = header->world.model,
                          .state = WorldSessionState::kParked,
                          .next_block = header->world.next_block,
                          .state_bytes = header->sizes.state,
                          .open_time = header->world.session->open_time,
                          .expire_time = files_->WriteTime(tenant, id) + options_.park_timeout};
}

absl::StatusOr<WorldSessionInfo> WorldSessions::Get(const std::string& tenant,
                                                    const std::string& id) const {
  {
    MutexLock lock(&mu_);
    if (const Entry entry = Find(tenant, id)) return InfoOf(*entry);
  }
  return InfoOfFile(tenant, id);
}

std::vector<WorldSessionInfo> WorldSessions::List(const std::string& tenant) const {
  std::vector<WorldSessionInfo> infos;
  if (files_) {
    for (const std::string& id : files_->List(tenant)) {
      if (auto info = InfoOfFile(tenant, id); info.ok()) infos.push_back(*std::move(info));
    }
  }
  {
    MutexLock lock(&mu_);
    for (auto row = sessions_.lower_bound({tenant, ""});
         row != sessions_.end() && row->first.first == tenant; ++row) {
      infos.push_back(InfoOf(*row->second));
    }
  }
  std::sort(infos.begin(), infos.end(), [](const auto& a, const auto& b) {
    return std::tie(a.open_time, a.session_id) < std::tie(b.open_time, b.session_id);
  });
  return infos;
}

// ---- The end of sessions. ----

absl::Status WorldSessions::Delete(const std::string& tenant, const std::string& id) {
  std::shared_ptr<WorldHolder> holder;
  std::optional<Waiting> waiting;
  bool here = false;
  {
    MutexLock lock(&mu_);
    if (const Entry entry = Find(tenant, id)) {
      here = true;
      if (entry->held) holder = entry->holder.lock();
      waiting = std::exchange(entry->waiting, std::nullopt);
      Forget(entry);
    }
  }
  if (waiting) waiting->done(NotFound());
  if (holder) holder->Deleted();
  if (here) return absl::OkStatus();
  absl::Status status = files_ ? files_->Remove(tenant, id) : NotFound();
  return absl::IsNotFound(status) ? NotFound() : status;
}

absl::Duration WorldSessions::Reap() {
  const absl::Time now = options_.clock->Now();
  absl::Time next = absl::InfiniteFuture();
  std::vector<Waiting> disappointed;
  {
    MutexLock lock(&mu_);
    // Parked in this order and for the same time, so the front goes first.
    while (!parked_.empty() && parked_.front()->expires <= now) Forget(Entry(parked_.front()));
    if (!parked_.empty()) next = parked_.front()->expires;
    for (const auto& [key, entry] : sessions_) {
      if (entry->waiting && entry->waiting->until <= now) {
        disappointed.push_back(*std::exchange(entry->waiting, std::nullopt));
      }
      if (entry->waiting) next = std::min(next, entry->waiting->until);
    }
  }
  for (Waiting& waiting : disappointed) waiting.done(Busy());
  return std::min(next - now, ReapFiles());
}

absl::Duration WorldSessions::ReapFiles() {
  if (!files_) return absl::InfiniteDuration();
  const absl::Time now = absl::Now();
  if (now >= next_file_reap_) {
    files_->RemoveWrittenBefore(now - options_.park_timeout);
    next_file_reap_ = now + kFileReapPeriod;
  }
  file_count_ = files_->count();
  return next_file_reap_ - now;
}

}  // namespace firstbyte

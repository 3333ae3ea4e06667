#include "server/stream/world_store.h"

#include <atomic>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/error.h"
#include "server/stream/saved_header.h"
#include "server/stream/serial_thread.h"
#include "server/stream/sha256.h"
#include "server/stream/snapshot_store.h"
#include "server/stream/world_sessions.h"

namespace firstbyte {
namespace {

SnapshotInfo Describe(std::string id, int64_t block, const std::string& container) {
  return {.id = std::move(id),
          .block = block,
          .bytes = static_cast<int64_t>(container.size()),
          .sha256 = Sha256(container)};
}

}  // namespace

struct WorldStore::Impl {
  Impl(const WorldStoreOptions& options, std::optional<WorldFiles> parked,
       std::optional<WorldFiles> saved, WorldStore* store)
      : shared(parked.has_value()),
        max_pending_bytes(options.max_snapshot_bytes),
        sessions(options, std::move(parked), store),
        snapshots(std::move(saved), options.max_snapshot_bytes),
        thread("world_store", [this] { return sessions.Reap(); }) {}

  absl::StatusOr<SnapshotInfo> Save(const std::string& tenant, std::string container,
                                    int64_t block) {
    auto shared = std::make_shared<const std::string>(std::move(container));
    absl::StatusOr<std::string> id = snapshots.Put(tenant, shared);
    if (!id.ok()) return id.status();
    return Describe(*std::move(id), block, *shared);
  }

  // Runs `save` on the thread, unless too much waits there already.
  void PostSave(int64_t bytes, std::function<absl::StatusOr<SnapshotInfo>()> save,
                Done<SnapshotInfo> done) {
    const bool fits = (pending_bytes += bytes) - bytes < max_pending_bytes;
    if (!fits) save = nullptr;  // and what it holds
    thread.Post([this, bytes, save = std::move(save), done = std::move(done)] {
      pending_bytes -= bytes;
      if (save) return done(save());
      done(Error(absl::StatusCode::kResourceExhausted,
                 {.reason = "SNAPSHOTS_BUSY", .retry_after = absl::Seconds(1)},
                 "too many snapshots are being written"));
    });
  }

  // The holder hears of a server that drains, also when it comes late.
  void TellIfDraining(std::weak_ptr<WorldHolder> holder) {
    if (!draining) return;
    thread.Post([this, holder = std::move(holder)] {
      if (auto locked = holder.lock()) locked->Draining(absl::Nanoseconds(remaining.load()));
    });
  }

  const bool shared;
  const int64_t max_pending_bytes;
  std::atomic<int64_t> pending_bytes{0};  // of snapshots that wait to be written
  std::atomic<bool> draining{false};
  std::atomic<int64_t> remaining{0};  // nanoseconds
  WorldSessions sessions;
  SnapshotStore snapshots;  // the thread's, but for bytes()
  SerialThread thread;      // last: it uses the ones above
};

// ---- WorldHold. ----

WorldHold& WorldHold::operator=(WorldHold&& other) noexcept {
  std::swap(store_, other.store_);
  std::swap(entry_, other.entry_);
  return *this;
}

WorldHold::~WorldHold() {
  if (!entry_) return;
  auto waiting = store_->impl_->sessions.Drop(entry_);
  if (!waiting) return;
  store_->impl_->thread.Post(
      [waiting = *std::move(waiting)] { waiting.done(WorldSessions::NotFound()); });
}

const std::string& WorldHold::session_id() const { return entry_->id; }
std::string WorldHold::token() const { return store_->impl_->sessions.TokenOf(*entry_); }
void WorldHold::Confirm() { entry_->confirmed = entry_->generation.load(); }
void WorldHold::Update(bool paused, int64_t next_block) {
  entry_->paused = paused;
  entry_->next_block = next_block;
}

// ---- WorldStore. ----

absl::StatusOr<std::unique_ptr<WorldStore>> WorldStore::Create(const WorldStoreOptions& options) {
  std::optional<WorldFiles> parked, saved;
  if (!options.snapshot_dir.empty()) {
    auto files = WorldFiles::Open(absl::StrCat(options.snapshot_dir, "/snapshots"));
    if (!files.ok()) return files.status();
    saved = *std::move(files);
  }
  // Without a secret nobody else could check a token: files would only slow parking down.
  if (!options.snapshot_dir.empty() && !options.token_secret.empty()) {
    auto files = WorldFiles::Open(absl::StrCat(options.snapshot_dir, "/parked"));
    if (!files.ok()) return files.status();
    parked = *std::move(files);
  }
  std::unique_ptr<WorldStore> store(new WorldStore);
  store->impl_ = std::make_unique<Impl>(options, std::move(parked), std::move(saved), store.get());
  return store;
}

WorldStore::~WorldStore() = default;

WorldHold WorldStore::Register(const std::string& tenant, const ModelInfo& info,
                               std::weak_ptr<WorldHolder> holder) {
  WorldHold hold = impl_->sessions.Register(tenant, info, holder);
  impl_->TellIfDraining(std::move(holder));
  return hold;
}

void WorldStore::Park(WorldHold hold, SavedWorld world, std::function<void(absl::Status)> parked) {
  impl_->thread.Post([impl = impl_.get(), entry = std::exchange(hold.entry_, nullptr),
                      world = std::move(world), parked = std::move(parked)]() mutable {
    parked(impl->sessions.Park(entry, std::move(world)));
  });
}

void WorldStore::Resume(Claim claim, Done<Claimed> done) {
  impl_->TellIfDraining(claim.holder);
  impl_->thread.Post(
      [impl = impl_.get(), claim = std::move(claim), done = std::move(done)]() mutable {
        impl->sessions.Resume(std::move(claim), std::move(done));
      });
}

void WorldStore::Get(const std::string& tenant, const std::string& session_id,
                     Done<WorldSessionInfo> done) {
  impl_->thread.Post([impl = impl_.get(), tenant, session_id, done = std::move(done)] {
    done(impl->sessions.Get(tenant, session_id));
  });
}

void WorldStore::List(const std::string& tenant, Done<std::vector<WorldSessionInfo>> done) {
  impl_->thread.Post(
      [impl = impl_.get(), tenant, done = std::move(done)] { done(impl->sessions.List(tenant)); });
}

void WorldStore::Delete(const std::string& tenant, const std::string& session_id,
                        std::function<void(absl::Status)> done) {
  impl_->thread.Post([impl = impl_.get(), tenant, session_id, done = std::move(done)] {
    done(impl->sessions.Delete(tenant, session_id));
  });
}

// ---- Snapshots. ----

void WorldStore::SaveSnapshot(const std::string& tenant, SavedWorld world,
                              Done<SnapshotInfo> done) {
  const int64_t bytes = world.bytes();
  auto save = [impl = impl_.get(), tenant, world = std::move(world)]() mutable {
    world.blocks.clear();  // the one who begins here was sent none of them
    world.session.reset();
    return impl->Save(tenant, SerializeWorld(world), world.next_block);
  };
  impl_->PostSave(bytes, std::move(save), std::move(done));
}

void WorldStore::ImportSnapshot(const std::string& tenant, std::string container,
                                std::string sha256, Done<SnapshotInfo> done) {
  const auto bytes = static_cast<int64_t>(container.size());
  auto save = [impl = impl_.get(), tenant, container = std::move(container),
               sha256 = std::move(sha256)]() mutable -> absl::StatusOr<SnapshotInfo> {
    if (Sha256(container) != sha256) {
      return Error(absl::StatusCode::kDataLoss, "SNAPSHOT_CORRUPTED",
                   "the digest of what arrived is another than snapshot.sha256");
    }
    absl::StatusOr<SavedWorld> world = ParseWorld(container);
    if (!world.ok()) return world.status();
    if (world->session || !world->blocks.empty()) return Corrupted("it is no snapshot");
    return impl->Save(tenant, std::move(container), world->next_block);
  };
  impl_->PostSave(bytes, std::move(save), std::move(done));
}

void WorldStore::LoadSnapshot(const std::string& tenant, const std::string& id,
                              Done<SavedWorld> done) {
  impl_->thread.Post([impl = impl_.get(), tenant, id, done = std::move(done)] {
    auto container = impl->snapshots.Get(tenant, id);
    if (!container.ok()) return done(container.status());
    done(ParseWorld(**container));
  });
}

void WorldStore::ExportSnapshot(const std::string& tenant, const std::string& id,
                                Done<Snapshot> done) {
  impl_->thread.Post([impl = impl_.get(), tenant, id, done = std::move(done)] {
    auto container = impl->snapshots.Get(tenant, id);
    if (!container.ok()) return done(container.status());
    absl::StatusOr<SavedWorld> world = ParseWorld(**container);
    if (!world.ok()) return done(world.status());
    done(Snapshot{Describe(id, world->next_block, **container), *container});
  });
}

// ---- The server's side. ----

void WorldStore::Drain(absl::Duration remaining) {
  impl_->remaining = absl::ToInt64Nanoseconds(remaining);
  impl_->draining = true;
  impl_->thread.Post([impl = impl_.get(), remaining] {
    for (const auto& holder : impl->sessions.holders()) holder->Draining(remaining);
  });
}

bool WorldStore::WaitUntilParked(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  return impl_->sessions.WaitUntilNoneHeld(timeout) &&
         impl_->thread.WaitUntilIdle(deadline - absl::Now());
}

void WorldStore::Reap() {
  impl_->thread.Post([impl = impl_.get()] { impl->sessions.Reap(); });
}

bool WorldStore::shared() const { return impl_->shared; }

WorldStore::Counts WorldStore::counts() const {
  Counts counts = impl_->sessions.counts();
  counts.snapshot_bytes = impl_->snapshots.bytes();
  return counts;
}

}  // namespace firstbyte

#include "server/stream/snapshot_store.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/ids.h"
#include "server/stream/largest_share.h"

namespace firstbyte {
namespace {

absl::Status Full(absl::string_view reason, absl::string_view message) {
  return Error(absl::StatusCode::kResourceExhausted, reason, message);
}

}  // namespace

SnapshotStore::SnapshotStore(std::optional<WorldFiles> files, int64_t max_bytes)
    : files_(std::move(files)), max_bytes_(max_bytes) {
  if (files_) bytes_ = files_->bytes();
}

absl::StatusOr<std::string> SnapshotStore::Put(const std::string& tenant,
                                               std::shared_ptr<const std::string> container) {
  const auto size = static_cast<int64_t>(container->size());
  if (size > max_bytes_) {
    return Full("SNAPSHOT_TOO_LARGE",
                absl::StrCat("a snapshot of ", size, " bytes; there is room for ", max_bytes_));
  }
  const std::string id = NewUuid();
  if (!files_) {
    MakeRoom(size);
    kept_.push_back({tenant, id, std::move(container)});
    bytes_ += size;
    return id;
  }
  bytes_ = files_->bytes();  // others may share the folder
  if (bytes_ + size > max_bytes_) {
    return Full("SNAPSHOT_DISK_FULL", "the folder of snapshots holds as much as it may");
  }
  if (absl::Status status = files_->Write(tenant, id, *container); !status.ok()) return status;
  bytes_ += size;
  return id;
}

absl::StatusOr<std::shared_ptr<const std::string>> SnapshotStore::Get(const std::string& tenant,
                                                                      const std::string& id) const {
  const absl::Status none = Error(absl::StatusCode::kNotFound, "SNAPSHOT_NOT_FOUND",
                                  "there is no such snapshot", "snapshot_id");
  if (!files_) {
    for (const Kept& kept : kept_) {
      if (kept.tenant == tenant && kept.id == id) return kept.container;
    }
    return none;
  }
  auto bytes = files_->Read(tenant, id, std::numeric_limits<int64_t>::max());
  if (absl::IsNotFound(bytes.status())) return none;
  if (!bytes.ok()) return bytes.status();
  return std::make_shared<const std::string>(*std::move(bytes));
}

void SnapshotStore::MakeRoom(int64_t size) {
  while (bytes_ + size > max_bytes_) {
    auto victim = OldestOfLargestShare(
        kept_, [](const Kept& kept) { return kept.tenant; },
        [](const Kept& kept) { return static_cast<int64_t>(kept.container->size()); });
    bytes_ -= static_cast<int64_t>(victim->container->size());
    kept_.erase(victim);
  }
}

}  // namespace firstbyte

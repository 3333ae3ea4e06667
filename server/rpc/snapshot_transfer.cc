#include "server/rpc/snapshot_transfer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/error.h"
#include "grpcpp/alarm.h"
#include "server/rpc/refusal.h"
#include "server/rpc/status.h"
#include "server/rpc/world_convert.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kMaxDuration = absl::Minutes(5);

using ExportReactor = grpc::ServerWriteReactor<v1::ExportSnapshotResponse>;
using ImportReactor = grpc::ServerReadReactor<v1::ImportSnapshotRequest>;

absl::Status Busy() {
  return Error(absl::StatusCode::kResourceExhausted,
               {.reason = "TOO_MANY_TRANSFERS", .retry_after = absl::Seconds(1)},
               "too many snapshots are being read or written");
}

absl::Status Damaged(absl::string_view message) {
  return Error(absl::StatusCode::kDataLoss, "SNAPSHOT_CORRUPTED", message);
}

// A place among the transfers, if there is one.
class Place {
 public:
  explicit Place(TransferBudget* budget)
      : budget_(budget), free_(++budget->transfers <= TransferBudget::kMaxTransfers) {}
  ~Place() { --budget_->transfers; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  bool free() const { return free_; }

 private:
  TransferBudget* const budget_;
  const bool free_;
};

// Every step starts the next, so nothing runs at the same time as anything else; a client that is
// gone shows as a write that fails.
class ExportCall : public ExportReactor {
 public:
  explicit ExportCall(const Transfer& transfer)
      : live_(transfer.live_calls), place_(transfer.budget), rpc_(transfer.rpc) {}

  void Start(const Transfer& transfer, const std::string& snapshot_id) {
    if (!place_.free()) return End(Busy());
    transfer.store->ExportSnapshot(transfer.tenant, snapshot_id,
                                   [this](absl::StatusOr<WorldStore::Snapshot> snapshot) {
                                     if (!snapshot.ok()) return End(snapshot.status());
                                     container_ = snapshot->container;
                                     FillSnapshot(snapshot->info, message_.mutable_snapshot());
                                     StartWrite(&message_);
                                   });
  }

  void OnWriteDone(bool ok) override {
    if (!ok || sent_ == container_->size()) return End(absl::OkStatus());
    const size_t size = std::min<size_t>(kMaxPieceBytes, container_->size() - sent_);
    message_.set_data(container_->data() + sent_, size);
    sent_ += size;
    StartWrite(&message_);
  }
  void OnDone() override { delete this; }

 private:
  void End(const absl::Status& status) {
    AddTrailers(status, RequestIdOf(*rpc_), rpc_);
    Finish(ToGrpcStatus(status));
  }

  const LiveCalls::Ticket live_;
  const Place place_;
  grpc::CallbackServerContext* const rpc_;
  std::shared_ptr<const std::string> container_;
  size_t sent_ = 0;
  v1::ExportSnapshotResponse message_;  // belongs to gRPC while it is written
};

// The alarm may ring at any time, hence the mutex and the shared ownership.
class ImportCall : public ImportReactor, public std::enable_shared_from_this<ImportCall> {
 public:
  ImportCall(const Transfer& transfer, v1::ImportSnapshotResponse* response)
      : transfer_(transfer),
        live_(transfer.live_calls),
        place_(transfer.budget),
        response_(response) {}
  ~ImportCall() override { transfer_.budget->import_bytes -= reserved_; }

  void Start() {
    self_ = shared_from_this();
    if (!place_.free()) return End(Busy());
    too_long_.Set(absl::ToChronoTime(absl::Now() + kMaxDuration),
                  [weak = weak_from_this()](bool expired) {
                    auto self = weak.lock();
                    if (!expired || !self) return;
                    self->End(Error(absl::StatusCode::kDeadlineExceeded, "IMPORT_TIMEOUT",
                                    "the snapshot did not arrive in time"));
                  });
    StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Complete();
    if (absl::Status status = Take(); !status.ok()) return End(status);
    StartRead(&message_);
  }
  void OnDone() override { std::shared_ptr<ImportCall>().swap(self_); }

 private:
  absl::Status Take() {
    switch (message_.request_case()) {
      case v1::ImportSnapshotRequest::kSnapshot:
        return Begin(message_.snapshot());
      case v1::ImportSnapshotRequest::kData:
        return Append(message_.data());
      default:
        return Invalid("EMPTY_MESSAGE", "the message sets none of snapshot, data", "request");
    }
  }

  absl::Status Begin(const v1::WorldSnapshot& snapshot) {
    if (announced_) return Invalid("SNAPSHOT_REPEATED", "`snapshot` was already sent", "snapshot");
    if (snapshot.size_bytes() <= 0) {
      return Invalid("OUT_OF_RANGE", "must be the size of the data", "snapshot.size_bytes");
    }
    if (snapshot.sha256().size() != 32) {
      return Invalid("OUT_OF_RANGE", "must be the SHA-256 of the data", "snapshot.sha256");
    }
    announced_ = snapshot;
    return absl::OkStatus();
  }

  absl::Status Append(const std::string& data) {
    if (!announced_) {
      return Invalid("SNAPSHOT_MISSING", "the first message must be `snapshot`", "snapshot");
    }
    const auto size = static_cast<int64_t>(data.size());
    if (size > kMaxPieceBytes) {
      return Invalid("OUT_OF_RANGE", absl::StrCat("at most ", kMaxPieceBytes, " bytes"), "data");
    }
    if (static_cast<int64_t>(container_.size()) + size > announced_->size_bytes()) {
      return Damaged("more arrived than snapshot.size_bytes");
    }
    reserved_ += size;
    if ((transfer_.budget->import_bytes += size) > TransferBudget::kMaxImportBytes) return Busy();
    container_ += data;
    return absl::OkStatus();
  }

  // The client has sent everything, or is gone.
  void Complete() {
    if (transfer_.rpc->IsCancelled()) {
      return End(Error(absl::StatusCode::kCancelled, "CANCELLED", "the client went away"));
    }
    if (!announced_) {
      return End(Invalid("SNAPSHOT_MISSING", "the first message must be `snapshot`", "snapshot"));
    }
    if (static_cast<int64_t>(container_.size()) < announced_->size_bytes()) {
      return End(Damaged("less arrived than snapshot.size_bytes"));
    }
    transfer_.store->ImportSnapshot(transfer_.tenant, std::move(container_), announced_->sha256(),
                                    [self = shared_from_this()](absl::StatusOr<SnapshotInfo> info) {
                                      self->Answer(std::move(info));
                                    });
  }

  void Answer(absl::StatusOr<SnapshotInfo> info) {
    MutexLock lock(&mu_);
    if (finished_) return;
    if (info.ok()) FillSnapshot(*info, response_->mutable_snapshot());
    EndLocked(info.status());
  }
  void End(const absl::Status& status) {
    MutexLock lock(&mu_);
    if (!finished_) EndLocked(status);
  }
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    finished_ = true;
    AddTrailers(status, RequestIdOf(*transfer_.rpc), transfer_.rpc);
    Finish(ToGrpcStatus(status));
  }

  const Transfer transfer_;
  const LiveCalls::Ticket live_;
  const Place place_;
  v1::ImportSnapshotResponse* const response_;
  std::shared_ptr<ImportCall> self_;
  grpc::Alarm too_long_;
  v1::ImportSnapshotRequest message_;  // belongs to gRPC while it is read

  // Of the read that is done; never two at once.
  std::optional<v1::WorldSnapshot> announced_;
  std::string container_;
  int64_t reserved_ = 0;

  Mutex mu_;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace

ExportReactor* StartExport(const Transfer& transfer, const std::string& snapshot_id) {
  auto* call = new ExportCall(transfer);
  call->Start(transfer, snapshot_id);
  return call;
}

ImportReactor* StartImport(const Transfer& transfer, v1::ImportSnapshotResponse* response) {
  auto call = std::make_shared<ImportCall>(transfer, response);
  call->Start();
  return call.get();
}

}  // namespace firstbyte

// ExportSnapshot and ImportSnapshot: a container in pieces.
//
// Both are bounded: so many transfers at a time, so long each, and what imports hold in memory.
#pragma once

#include <atomic>
#include <string>

#include "firstbyte/v1/world.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/live_calls.h"
#include "server/stream/world_store.h"

namespace firstbyte {

inline constexpr int64_t kMaxPieceBytes = 1 << 20;

// What all transfers of a server share. Thread-safe.
struct TransferBudget {
  static constexpr int kMaxTransfers = 8;
  static constexpr int64_t kMaxImportBytes = int64_t{256} << 20;  // of all that are under way

  std::atomic<int> transfers{0};
  std::atomic<int64_t> import_bytes{0};
};

struct Transfer {
  std::string tenant;
  grpc::CallbackServerContext* rpc;
  WorldStore* store;
  LiveCalls* live_calls;
  TransferBudget* budget;
};

// The reactors own themselves.
grpc::ServerWriteReactor<v1::ExportSnapshotResponse>* StartExport(const Transfer& transfer,
                                                                  const std::string& snapshot_id);
grpc::ServerReadReactor<v1::ImportSnapshotRequest>* StartImport(
    const Transfer& transfer, v1::ImportSnapshotResponse* response);

}  // namespace firstbyte

// WorldService: one reactor an RPC, all work behind server/stream.
#pragma once

#include <atomic>

#include "firstbyte/v1/world.grpc.pb.h"
#include "server/rpc/live_calls.h"
#include "server/rpc/snapshot_transfer.h"
#include "server/stream/stream_context.h"

namespace firstbyte {

namespace internal {
using CallbackWorldService =
    v1::WorldService::WithCallbackMethod_ListWorlds<v1::WorldService::WithCallbackMethod_GetSession<
        v1::WorldService::WithCallbackMethod_ListSessions<
            v1::WorldService::WithCallbackMethod_DeleteSession<
                v1::WorldService::WithCallbackMethod_ExportSnapshot<
                    v1::WorldService::WithCallbackMethod_ImportSnapshot<
                        v1::WorldService::Service>>>>>>;
using RawWorldService = v1::WorldService::WithRawCallbackMethod_StepWorld<CallbackWorldService>;
}  // namespace internal

// Thread-safe. StepWorld takes byte buffers: see raw_message.h.
class WorldService : public internal::RawWorldService {
 public:
  // A StepWorld call whose first message does not come within this time is ended.
  WorldService(LiveCalls* live_calls, absl::Duration first_message_timeout)
      : live_calls_(live_calls), first_message_timeout_(first_message_timeout) {}

  // Until Serve() every call is refused with UNAVAILABLE, reason STARTING. `context`, whose
  // `worlds` is set, and what it points to outlive every call: `live_calls` tells.
  void Serve(const StreamContext* context) { context_ = context; }

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StepWorld(
      grpc::CallbackServerContext* rpc) override;
  grpc::ServerUnaryReactor* ListWorlds(grpc::CallbackServerContext* rpc,
                                       const v1::ListWorldsRequest* request,
                                       v1::ListWorldsResponse* response) override;
  grpc::ServerUnaryReactor* GetSession(grpc::CallbackServerContext* rpc,
                                       const v1::GetSessionRequest* request,
                                       v1::GetSessionResponse* response) override;
  grpc::ServerUnaryReactor* ListSessions(grpc::CallbackServerContext* rpc,
                                         const v1::ListSessionsRequest* request,
                                         v1::ListSessionsResponse* response) override;
  grpc::ServerUnaryReactor* DeleteSession(grpc::CallbackServerContext* rpc,
                                          const v1::DeleteSessionRequest* request,
                                          v1::DeleteSessionResponse* response) override;
  grpc::ServerWriteReactor<v1::ExportSnapshotResponse>* ExportSnapshot(
      grpc::CallbackServerContext* rpc, const v1::ExportSnapshotRequest* request) override;
  grpc::ServerReadReactor<v1::ImportSnapshotRequest>* ImportSnapshot(
      grpc::CallbackServerContext* rpc, v1::ImportSnapshotResponse* response) override;

 private:
  LiveCalls* const live_calls_;
  const absl::Duration first_message_timeout_;
  std::atomic<const StreamContext*> context_ = nullptr;
  TransferBudget transfers_;
};

}  // namespace firstbyte

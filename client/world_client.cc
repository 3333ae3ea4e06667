#include "client/world_client.h"

#include <utility>

#include <grpcpp/create_channel.h>

#include "client/rpc_status.h"
#include "client/unary_call.h"

namespace firstbyte {
namespace {

using Stub = v1::WorldService::Stub;

constexpr absl::Duration kTransferTimeout = absl::Minutes(5);  // of a snapshot, up to a gigabyte
constexpr size_t kPieceBytes = 1 << 20;
constexpr int kSessionsPerPage = 1000;

std::shared_ptr<grpc::Channel> Connect(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // four raw 720p frames are over gRPC's own 4 MiB
  // A player who lost the connection is not kept waiting for gRPC's second.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

void SetDeadline(grpc::ClientContext* context, absl::Duration timeout) {
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

}  // namespace

WorldClient::WorldClient(const std::string& target)
    : stub_(v1::WorldService::NewStub(Connect(target))) {}

std::unique_ptr<WorldStream> WorldClient::Open(const v1::OpenWorld& open, ResumePolicy resume) {
  return std::unique_ptr<WorldStream>(new WorldStream(stub_, open, resume));
}

absl::StatusOr<v1::ListWorldsResponse> WorldClient::ListWorlds() {
  return UnaryCall(*stub_, &Stub::ListWorlds, {});
}

absl::StatusOr<std::vector<v1::WorldSession>> WorldClient::ListSessions() {
  std::vector<v1::WorldSession> sessions;
  v1::ListSessionsRequest request;
  request.set_page_size(kSessionsPerPage);
  do {
    auto response = UnaryCall(*stub_, &Stub::ListSessions, request);
    if (!response.ok()) return response.status();
    for (v1::WorldSession& session : *response->mutable_sessions()) {
      sessions.push_back(std::move(session));
    }
    request.set_page_token(response->next_page_token());
  } while (!request.page_token().empty());
  return sessions;
}

absl::StatusOr<v1::WorldSession> WorldClient::GetSession(const std::string& session_id) {
  v1::GetSessionRequest request;
  request.set_session_id(session_id);
  auto response = UnaryCall(*stub_, &Stub::GetSession, request);
  if (!response.ok()) return response.status();
  return std::move(*response->mutable_session());
}

absl::Status WorldClient::DeleteSession(const std::string& session_id) {
  v1::DeleteSessionRequest request;
  request.set_session_id(session_id);
  return UnaryCall(*stub_, &Stub::DeleteSession, request).status();
}

absl::StatusOr<v1::WorldSnapshot> WorldClient::ExportSnapshot(
    const std::string& snapshot_id, const std::function<absl::Status(absl::string_view)>& write) {
  grpc::ClientContext context;
  SetDeadline(&context, kTransferTimeout);
  v1::ExportSnapshotRequest request;
  request.set_snapshot_id(snapshot_id);
  auto reader = stub_->ExportSnapshot(&context, request);
  v1::ExportSnapshotResponse response;
  v1::WorldSnapshot snapshot;
  absl::Status written;
  while (reader->Read(&response)) {
    if (response.has_snapshot()) snapshot = response.snapshot();
    if (written.ok() && !response.data().empty()) written = write(response.data());
    if (!written.ok()) context.TryCancel();
  }
  absl::Status status = FromGrpc(reader->Finish());
  if (!written.ok()) return written;
  if (!status.ok()) return status;
  return snapshot;
}

absl::StatusOr<v1::WorldSnapshot> WorldClient::ImportSnapshot(const v1::WorldSnapshot& snapshot,
                                                              absl::string_view bytes) {
  grpc::ClientContext context;
  SetDeadline(&context, kTransferTimeout);
  v1::ImportSnapshotResponse response;
  auto writer = stub_->ImportSnapshot(&context, &response);
  v1::ImportSnapshotRequest request;
  *request.mutable_snapshot() = snapshot;
  bool taken = writer->Write(request);
  while (taken && !bytes.empty()) {
    absl::string_view piece = bytes.substr(0, kPieceBytes);
    request.set_data(piece.data(), piece.size());
    taken = writer->Write(request);
    bytes.remove_prefix(piece.size());
  }
  if (taken) writer->WritesDone();
  absl::Status status = FromGrpc(writer->Finish());
  if (!status.ok()) return status;
  return std::move(*response.mutable_snapshot());
}

}  // namespace firstbyte

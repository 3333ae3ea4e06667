#include "client/admin_client.h"

#include <grpcpp/create_channel.h>

#include "client/proto_time.h"
#include "client/rpc_status.h"
#include "client/unary_call.h"

namespace firstbyte {
namespace {

// Reads a stream of pieces to its end.
template <typename Response>
absl::Status ReadAll(std::unique_ptr<grpc::ClientReader<Response>> reader,
                     grpc::ClientContext* context, const AdminClient::Write& write) {
  absl::Status written;
  for (Response response; reader->Read(&response);) {
    if (written.ok()) written = write(response.data());
    if (!written.ok()) context->TryCancel();
  }
  const absl::Status status = FromGrpc(reader->Finish());
  return written.ok() ? status : written;
}

}  // namespace

AdminClient::AdminClient(const std::string& target)
    : stub_(v1::AdminService::NewStub(
          grpc::CreateChannel(target, grpc::InsecureChannelCredentials()))) {}

absl::StatusOr<v1::GetServerInfoResponse> AdminClient::GetServerInfo() {
  return UnaryCall(*stub_, &v1::AdminService::Stub::GetServerInfo, {});
}

absl::StatusOr<v1::ListModelsResponse> AdminClient::ListModels() {
  return UnaryCall(*stub_, &v1::AdminService::Stub::ListModels, {});
}

absl::StatusOr<v1::LoadModelResponse> AdminClient::LoadModel(const std::string& name) {
  v1::LoadModelRequest request;
  request.set_name(name);
  return UnaryCall(*stub_, &v1::AdminService::Stub::LoadModel, request, absl::InfiniteDuration());
}

absl::StatusOr<v1::UnloadModelResponse> AdminClient::UnloadModel(
    const std::string& name, std::optional<absl::Duration> within) {
  v1::UnloadModelRequest request;
  request.set_name(name);
  if (within) *request.mutable_drain_duration() = ToProto(*within);
  return UnaryCall(*stub_, &v1::AdminService::Stub::UnloadModel, request, absl::InfiniteDuration());
}

absl::StatusOr<v1::GetStatsResponse> AdminClient::GetStats() {
  return UnaryCall(*stub_, &v1::AdminService::Stub::GetStats, {});
}

absl::StatusOr<v1::DrainResponse> AdminClient::Drain(std::optional<absl::Duration> within) {
  v1::DrainRequest request;
  if (within) *request.mutable_drain_duration() = ToProto(*within);
  return UnaryCall(*stub_, &v1::AdminService::Stub::Drain, request);
}

absl::StatusOr<v1::SetLogLevelResponse> AdminClient::SetLogLevel(v1::LogLevel level) {
  v1::SetLogLevelRequest request;
  request.set_level(level);
  return UnaryCall(*stub_, &v1::AdminService::Stub::SetLogLevel, request);
}

absl::Status AdminClient::CaptureTrace(absl::Duration duration, const Write& write) {
  grpc::ClientContext context;
  v1::CaptureTraceRequest request;
  *request.mutable_capture_duration() = ToProto(duration);
  return ReadAll(stub_->CaptureTrace(&context, request), &context, write);
}

absl::Status AdminClient::DumpFlight(const Write& write) {
  grpc::ClientContext context;
  return ReadAll(stub_->DumpFlight(&context, v1::DumpFlightRequest()), &context, write);
}

}  // namespace firstbyte

#include "client/admin_client.h"

#include <grpcpp/create_channel.h>

#include "client/rpc_status.h"
#include "google/protobuf/util/time_util.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(10);

// One unary call; `method` is a pointer to member of the stub.
template <typename Response, typename Method, typename Request>
absl::StatusOr<Response> Call(v1::AdminService::Stub& stub, Method method, const Request& request,
                              absl::Duration timeout = kTimeout) {
  grpc::ClientContext context;
  if (timeout < absl::InfiniteDuration()) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  }
  Response response;
  absl::Status status = FromGrpc((stub.*method)(&context, request, &response));
  if (!status.ok()) return status;
  return response;
}

google::protobuf::Duration ToProto(absl::Duration d) {
  return google::protobuf::util::TimeUtil::NanosecondsToDuration(absl::ToInt64Nanoseconds(d));
}

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
  return Call<v1::GetServerInfoResponse>(*stub_, &v1::AdminService::Stub::GetServerInfo,
                                         v1::GetServerInfoRequest());
}

absl::StatusOr<v1::ListModelsResponse> AdminClient::ListModels() {
  return Call<v1::ListModelsResponse>(*stub_, &v1::AdminService::Stub::ListModels,
                                      v1::ListModelsRequest());
}

absl::StatusOr<v1::LoadModelResponse> AdminClient::LoadModel(const std::string& name) {
  v1::LoadModelRequest request;
  request.set_name(name);
  return Call<v1::LoadModelResponse>(*stub_, &v1::AdminService::Stub::LoadModel, request,
                                     absl::InfiniteDuration());
}

absl::StatusOr<v1::UnloadModelResponse> AdminClient::UnloadModel(const std::string& name) {
  v1::UnloadModelRequest request;
  request.set_name(name);
  return Call<v1::UnloadModelResponse>(*stub_, &v1::AdminService::Stub::UnloadModel, request,
                                       absl::InfiniteDuration());
}

absl::StatusOr<v1::GetStatsResponse> AdminClient::GetStats() {
  return Call<v1::GetStatsResponse>(*stub_, &v1::AdminService::Stub::GetStats,
                                    v1::GetStatsRequest());
}

absl::StatusOr<v1::DrainResponse> AdminClient::Drain(std::optional<absl::Duration> within) {
  v1::DrainRequest request;
  if (within) *request.mutable_drain_duration() = ToProto(*within);
  return Call<v1::DrainResponse>(*stub_, &v1::AdminService::Stub::Drain, request);
}

absl::StatusOr<v1::SetLogLevelResponse> AdminClient::SetLogLevel(v1::LogLevel level) {
  v1::SetLogLevelRequest request;
  request.set_level(level);
  return Call<v1::SetLogLevelResponse>(*stub_, &v1::AdminService::Stub::SetLogLevel, request);
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

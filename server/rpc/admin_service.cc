#include "server/rpc/admin_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "nlohmann/json.hpp"
#include "server/rpc/admin_files.h"
#include "server/rpc/admin_models.h"
#include "server/rpc/admin_stats.h"
#include "server/rpc/common_convert.h"
#include "server/rpc/refusal.h"

namespace firstbyte {
namespace {

absl::Status NotSupported(const std::string& method) {
  return Error(absl::StatusCode::kUnimplemented,
               {.reason = "NOT_SUPPORTED",
                .metadata = {{"method", absl::StrCat("/firstbyte.v1.AdminService/", method)}}},
               absl::StrCat(method, " is not served by this version"));
}

// Of every lane.
std::string LaneName(const BuildInfo& build) { return absl::StrCat("cpu ", build.isa); }

// Name in base/log.h; empty for what is no level.
std::string NameOf(v1::LogLevel level) {
  switch (level) {
    case v1::LOG_LEVEL_DEBUG:
      return "debug";
    case v1::LOG_LEVEL_INFO:
      return "info";
    case v1::LOG_LEVEL_WARNING:
      return "warning";
    case v1::LOG_LEVEL_ERROR:
      return "error";
    default:
      return "";
  }
}

v1::LogLevel LevelOf(const std::string& name) {
  for (int i = v1::LogLevel_MIN; i <= v1::LogLevel_MAX; ++i) {
    const auto level = static_cast<v1::LogLevel>(i);
    if (name == NameOf(level)) return level;
  }
  return v1::LOG_LEVEL_UNSPECIFIED;
}

}  // namespace

AdminService::AdminService(AdminOptions options)
    : options_(std::move(options)), start_time_(absl::Now()) {}

void AdminService::Serve(const AdminContext* context) { context_ = context; }

grpc::ServerUnaryReactor* AdminService::GetServerInfo(grpc::CallbackServerContext* rpc,
                                                      const v1::GetServerInfoRequest*,
                                                      v1::GetServerInfoResponse* response) {
  const AdminContext* context = context_;
  response->set_version(options_.build.version);
  response->set_state(draining_ ? v1::SERVER_STATE_DRAINING
                      : context ? v1::SERVER_STATE_SERVING
                                : v1::SERVER_STATE_STARTING);
  response->mutable_start_time()->set_seconds(absl::ToUnixSeconds(start_time_));
  for (size_t lane = 0; context && lane < context->meters->size(); ++lane) {
    response->add_lanes(LaneName(options_.build));
  }
  return Answer(absl::OkStatus(), rpc);
}

grpc::ServerUnaryReactor* AdminService::ListModels(grpc::CallbackServerContext* rpc,
                                                   const v1::ListModelsRequest*,
                                                   v1::ListModelsResponse* response) {
  const AdminContext* context = context_;
  if (!context) return Answer(Starting(), rpc);
  FillModels(*context->engine, response);
  return Answer(absl::OkStatus(), rpc);
}

grpc::ServerUnaryReactor* AdminService::LoadModel(grpc::CallbackServerContext* rpc,
                                                  const v1::LoadModelRequest* request,
                                                  v1::LoadModelResponse* response) {
  const AdminContext* context = context_;
  if (!context) return Answer(Starting(), rpc);
  return StartLoad(*context, *request, response, rpc);
}

grpc::ServerUnaryReactor* AdminService::UnloadModel(grpc::CallbackServerContext* rpc,
                                                    const v1::UnloadModelRequest* request,
                                                    v1::UnloadModelResponse*) {
  const AdminContext* context = context_;
  if (!context) return Answer(Starting(), rpc);
  return StartUnload(*context, *request, rpc);
}

grpc::ServerUnaryReactor* AdminService::GetStats(grpc::CallbackServerContext* rpc,
                                                 const v1::GetStatsRequest*,
                                                 v1::GetStatsResponse* response) {
  const AdminContext* context = context_;
  if (!context) return Answer(Starting(), rpc);
  FillStats(*context, LaneName(options_.build), response);
  return Answer(absl::OkStatus(), rpc);
}

absl::Status AdminService::BeginDrain(const v1::DrainRequest& request) {
  if (!options_.drain) return NotSupported("Drain");
  if (!request.has_drain_duration()) return options_.drain(std::nullopt);
  absl::StatusOr<absl::Duration> within =
      ToDuration(request.drain_duration(), absl::ZeroDuration(), kMaxDrain, "drain_duration");
  return within.ok() ? options_.drain(*within) : within.status();
}

grpc::ServerUnaryReactor* AdminService::Drain(grpc::CallbackServerContext* rpc,
                                              const v1::DrainRequest* request,
                                              v1::DrainResponse* response) {
  const AdminContext* context = context_;
  const absl::Status status = BeginDrain(*request);
  if (status.ok() && context) {
    const auto streams = context->streams->Report(context->clock->Now());
    response->set_session_count(static_cast<int>(streams.size()));
  }
  return Answer(status, rpc);
}

grpc::ServerUnaryReactor* AdminService::SetLogLevel(grpc::CallbackServerContext* rpc,
                                                    const v1::SetLogLevelRequest* request,
                                                    v1::SetLogLevelResponse* response) {
  const std::string level = NameOf(request->level());
  if (level.empty()) return Answer(BadField("level", "must be a level"), rpc);
  const std::string previous = firstbyte::SetLogLevel(level);
  response->set_previous_level(LevelOf(previous));
  LogWarning("log_level", {{"level", level}, {"previous", previous}});
  return Answer(absl::OkStatus(), rpc);
}

grpc::ServerWriteReactor<v1::CaptureTraceResponse>* AdminService::CaptureTrace(
    grpc::CallbackServerContext* rpc, const v1::CaptureTraceRequest* request) {
  return StartCapture(options_.tracer, *request, rpc);
}

grpc::ServerWriteReactor<v1::DumpFlightResponse>* AdminService::DumpFlight(
    grpc::CallbackServerContext* rpc, const v1::DumpFlightRequest*) {
  const AdminContext* context = context_;
  if (context) return StartDump(*context->flights, rpc);
  return new Refusal<grpc::ServerWriteReactor<v1::DumpFlightResponse>>(Starting(), rpc);
}

}  // namespace firstbyte

// A small client for AdminService: what a server is doing, and telling it what to do.
//
//   AdminClient client("127.0.0.1:50052");
//   absl::StatusOr<v1::GetStatsResponse> stats = client.GetStats();
//
// Messages are those of proto/firstbyte/v1/admin.proto, where every field is explained. Nothing
// throws. Errors of the server arrive as absl::Status with reason and metadata.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "firstbyte/v1/admin.grpc.pb.h"

namespace firstbyte {

// A connection to the admin port of one server. Thread-safe. Connects on first use and again after
// a break.
class AdminClient {
 public:
  // `target`: host:port, or any gRPC target such as unix:/path. Plain text, no TLS.
  explicit AdminClient(const std::string& target);

  absl::StatusOr<v1::GetServerInfoResponse> GetServerInfo();
  absl::StatusOr<v1::ListModelsResponse> ListModels();
  // These two take as long as the server does.
  absl::StatusOr<v1::LoadModelResponse> LoadModel(const std::string& name);
  // `within`: how long its streams may still run; nullopt: until they end.
  absl::StatusOr<v1::UnloadModelResponse> UnloadModel(
      const std::string& name, std::optional<absl::Duration> within = std::nullopt);
  absl::StatusOr<v1::GetStatsResponse> GetStats();
  // `within`: how long streams may still run; nullopt: as the server is configured.
  absl::StatusOr<v1::DrainResponse> Drain(std::optional<absl::Duration> within);
  absl::StatusOr<v1::SetLogLevelResponse> SetLogLevel(v1::LogLevel level);

  // Files: `write` gets their bytes piece by piece. Both stop at the first error, `write`'s
  // included.
  using Write = std::function<absl::Status(absl::string_view)>;
  absl::Status CaptureTrace(absl::Duration duration, const Write& write);
  absl::Status DumpFlight(const Write& write);

 private:
  const std::unique_ptr<v1::AdminService::Stub> stub_;
};

}  // namespace firstbyte

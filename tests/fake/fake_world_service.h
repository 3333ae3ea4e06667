// A WorldService in the test's own process: plain pictures that say what made them.
//
// Every pixel of block n is Colour(n, keys, prompt). A world named "full" refuses
// (RESOURCE_EXHAUSTED, retry in 250 ms), "fragile" breaks (UNAVAILABLE) when it has made block 2:
// that block comes after the resume; "hopeless" breaks whenever it has opened. Any other unknown
// name is NOT_FOUND. Sessions and snapshots are kept until deleted. Blocks are made when there are
// actions (LOCKSTEP) or credit (otherwise), whatever the time.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/server.h>

#include "base/mutex.h"
#include "firstbyte/v1/world.grpc.pb.h"

namespace firstbyte {

class FakeWorldService : public v1::WorldService::Service {
 public:
  static constexpr int kWidth = 16, kHeight = 12, kFps = 20;
  static constexpr int kSampleRate = 16000, kSamplesPerBlock = 800;

  struct State {  // of a session
    std::string token, prompt;
    int64_t next_block = 0, last_sequence = 0;
    std::vector<v1::StepWorldResponse> unsent;  // what a broken stream did not get
  };

  // {n, sum of the lengths of the keys' names, length of the prompt}
  static std::array<uint8_t, 3> Colour(int64_t block, const v1::Actions& actions,
                                       const std::string& prompt);

  grpc::Status StepWorld(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::StepWorldResponse, v1::StepWorldRequest>* stream) override;
  grpc::Status ListWorlds(grpc::ServerContext*, const v1::ListWorldsRequest*,
                          v1::ListWorldsResponse* response) override;
  grpc::Status GetSession(grpc::ServerContext*, const v1::GetSessionRequest* request,
                          v1::GetSessionResponse* response) override;
  grpc::Status ListSessions(grpc::ServerContext*, const v1::ListSessionsRequest* request,
                            v1::ListSessionsResponse* response) override;
  grpc::Status DeleteSession(grpc::ServerContext*, const v1::DeleteSessionRequest* request,
                             v1::DeleteSessionResponse*) override;
  grpc::Status ExportSnapshot(grpc::ServerContext*, const v1::ExportSnapshotRequest* request,
                              grpc::ServerWriter<v1::ExportSnapshotResponse>* writer) override;
  grpc::Status ImportSnapshot(grpc::ServerContext*,
                              grpc::ServerReader<v1::ImportSnapshotRequest>* reader,
                              v1::ImportSnapshotResponse* response) override;

  // What clients sent, over all calls.
  std::vector<v1::StepWorldRequest> requests() const;

 private:
  using Stream = grpc::ServerReaderWriter<v1::StepWorldResponse, v1::StepWorldRequest>;

  grpc::Status Begin(const v1::OpenWorld& open, std::string* session_id, State* state);
  void Note(const v1::StepWorldRequest& request);
  void SendSnapshot(const State& state, Stream* stream);

  mutable Mutex mu_;
  std::vector<v1::StepWorldRequest> requests_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, State> sessions_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::string> snapshots_ ABSL_GUARDED_BY(mu_);  // "block prompt"
  int session_count_ ABSL_GUARDED_BY(mu_) = 0;
  int token_count_ ABSL_GUARDED_BY(mu_) = 0;
};

// The service on a free port of the loopback.
class FakeWorldServer {
 public:
  FakeWorldServer();
  ~FakeWorldServer();

  const std::string& target() const { return target_; }
  FakeWorldService& service() { return service_; }

 private:
  FakeWorldService service_;
  std::unique_ptr<grpc::Server> server_;
  std::string target_;
};

}  // namespace firstbyte

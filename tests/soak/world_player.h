// One player of the soak test: does anything a player may do, in random order, and checks that the
// server keeps its promises.
//
// Not thread-safe; one thread each.
#pragma once

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "firstbyte/v1/world.grpc.pb.h"
#include "grpcpp/grpcpp.h"

namespace firstbyte {

struct SoakCounts {
  int64_t opened = 0, resumed = 0, forked = 0, refused = 0, cancelled = 0, closed = 0, blocks = 0;
  std::vector<std::string> failures;  // promises that were broken
};

class WorldPlayer {
 public:
  // Plays `worlds` as a tenant of its own, made of `seed`.
  WorldPlayer(const std::shared_ptr<grpc::Channel>& channel, std::vector<std::string> worlds,
              uint64_t seed);

  // One stream, from its first message to its end.
  void PlayOnce();
  // Deletes every session that is left and checks that none is.
  void CleanUp();

  const SoakCounts& counts() const { return counts_; }

 private:
  using Stream = grpc::ClientReaderWriter<v1::StepWorldRequest, v1::StepWorldResponse>;
  struct Session {  // to go on with
    std::string id, token, world;
    int64_t last_block = -1;
  };
  struct Call {
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<Stream> stream;
    v1::Pacing pacing = v1::PACING_LOCKSTEP;
    Session session;
    v1::WorldOpened opened;
    int64_t sequence = 0;
    bool alive = true;  // the server has not ended it
    bool read_snapshot = false;
  };

  int Roll(int sides) { return static_cast<int>(random_() % static_cast<uint64_t>(sides)); }
  std::unique_ptr<grpc::ClientContext> NewContext() const;
  v1::StepWorldRequest Opening(Call* call, bool* fork);
  bool Open(Call* call);
  void Say(Call* call, const v1::StepWorldRequest& request);
  void Control(Call* call, v1::ControlKind kind);
  bool Read(Call* call);
  void ReadBlocks(Call* call, int count);
  void Act(Call* call);
  void Prompt(Call* call);
  void Snapshot(Call* call);
  void DoSomething(Call* call);
  void Leave(Call* call);
  void Close(Call* call);
  void Fail(const std::string& what, const grpc::Status& status = grpc::Status::OK);

  const std::unique_ptr<v1::WorldService::Stub> stub_;
  const std::vector<std::string> worlds_;
  const std::string tenant_;
  std::mt19937_64 random_;
  std::vector<Session> parked_;
  std::optional<std::string> snapshot_;
  SoakCounts counts_;
};

}  // namespace firstbyte

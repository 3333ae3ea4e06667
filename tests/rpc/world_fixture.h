// Real servers with the scripted world, and players of it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "firstbyte/v1/world.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "model/scripted_world.h"
#include "server/rpc/host.h"
#include "tests/rpc/fixture.h"

namespace firstbyte {

// Text format, as in R"(open { create { seed: 1 } })".
v1::StepWorldRequest Say(const std::string& text_format);
// A first message that asks for raw pictures.
std::string OpenNew(uint64_t seed);
std::string OpenSnapshot(const std::string& id);
std::string Resume(const v1::WorldOpened& opened, int64_t last_block);
// One step while `key` is held ("": none).
v1::StepWorldRequest Step(int64_t sequence, const std::string& key);

// One StepWorld call of a player. Everything blocks; nothing is read but by Read() and those that
// call it.
class Player {
 public:
  Player(v1::WorldService::Stub* stub, const std::string& tenant = "");
  ~Player();  // cancels what is not finished

  bool Send(const v1::StepWorldRequest& request) { return stream_->Write(request); }
  bool Send(const std::string& text_format) { return Send(Say(text_format)); }
  void HalfClose() { stream_->WritesDone(); }
  void Cancel() { context_.TryCancel(); }

  // Reads one message; false: there is none.
  bool Read();
  // Reads until a message of this kind (by field name), whose place it returns, or the end (-1).
  int ReadUntil(const std::string& kind);
  // Reads until `count` blocks in all have come, or the end.
  void ReadBlocks(size_t count);
  // Plays one block for each of `keys`, in LOCKSTEP.
  void Play(const std::vector<std::string>& keys, int64_t first_sequence = 1);
  // Reads to the end.
  const grpc::Status& Finish();

  const v1::WorldOpened& opened() const { return opened_; }
  const std::vector<v1::StepWorldResponse>& responses() const { return responses_; }
  const v1::StepWorldResponse& last() const { return responses_.back(); }
  const std::vector<v1::Block>& blocks() const { return blocks_; }
  std::string audio() const;
  std::map<std::string, std::string> trailers() const;

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::StepWorldRequest, v1::StepWorldResponse>> stream_;
  std::vector<v1::StepWorldResponse> responses_;
  v1::WorldOpened opened_;
  std::vector<v1::Block> blocks_;
  bool finished_ = false;
  grpc::Status status_;
};

class WorldTest : public testing::Test {
 protected:
  struct Server {
    std::unique_ptr<Host> host;
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<v1::WorldService::Stub> stub;
    std::unique_ptr<v1::SpeechService::Stub> speech;
  };

  WorldTest();
  ~WorldTest() override;

  // A server with a voice and a world.
  Server Start(ScriptedWorldOptions world = {}, HostOptions options = {});
  // The same with any world.
  Server StartWith(std::unique_ptr<Model> world, HostOptions options = {});
  // As Start(), sharing a folder and a secret with every other one started so.
  Server StartShared(ScriptedWorldOptions world = {}, HostOptions options = {});

  static void Connect(Server* server);  // to its host

  // No call, slot or held session is left, and a new one gets exactly what it should.
  void ExpectUnharmed(Server& server);

  // What `keys`, one a block, show: the frames of block i, as RAW_RGB.
  static std::vector<std::vector<std::string>> Frames(uint64_t seed,
                                                      const std::vector<std::string>& keys,
                                                      const std::string& prompt = "");
  static std::vector<std::string> FramesOf(const v1::Block& block);
  // That `player` got blocks `first`, first + 1, ... with these frames.
  static void ExpectBlocks(const Player& player, int64_t first,
                           const std::vector<std::vector<std::string>>& frames);

  const std::filesystem::path folder_;
};

}  // namespace firstbyte

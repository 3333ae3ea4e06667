// However a client leaves and whatever its session is at, its slot is free one step later.
#include <unistd.h>

#include <thread>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel_posix.h"
#include "tests/fault/step_gate.h"
#include "tests/rpc/world_fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;

enum class Way { kCancel, kDeadline, kDisconnect };

const char* NameOf(Way way) {
  return way == Way::kCancel ? "cancel" : way == Way::kDeadline ? "deadline" : "disconnect";
}

// A connection that can be cut.
class Wire {
 public:
  explicit Wire(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    channel_ = grpc::CreateInsecureChannelFromFd("wire", fd_);
  }

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  void Cut() { shutdown(fd_, SHUT_RDWR); }

 private:
  const int fd_;  // belongs to the channel
  std::shared_ptr<grpc::Channel> channel_;
};

class LeavingTest : public WorldTest, public testing::WithParamInterface<std::tuple<Stage, Way>> {
 protected:
  LeavingTest() {
    ScriptedOptions voice{.on_step = gate_.on_step()};
    ScriptedWorldOptions world{.on_step = gate_.on_step()};
    auto host = Host::Listen({});
    server_.host = *std::move(host);
    std::vector<std::vector<std::unique_ptr<Model>>> lanes(1);
    lanes[0].push_back(MakeScriptedModel(voice));
    lanes[0].push_back(MakeScriptedWorld(world));
    EXPECT_TRUE(server_.host->Serve(std::move(lanes)).ok());
    wire_ = std::make_unique<Wire>(server_.host->port());
    server_.channel = grpc::CreateChannel(absl::StrCat("127.0.0.1:", server_.host->port()),
                                          grpc::InsecureChannelCredentials());
    server_.stub = v1::WorldService::NewStub(server_.channel);
    if (way() == Way::kDeadline) {
      context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
    }
    gate_.Arm(std::get<0>(GetParam()));
  }

  static Way way() { return std::get<1>(GetParam()); }

  // The step stands still; the client goes, and hears at once that it is over.
  template <typename Stream>
  void Leave(Stream* stream) {
    gate_.WaitUntilReached();
    if (way() == Way::kCancel) context_.TryCancel();
    if (way() == Way::kDisconnect) wire_->Cut();
    const StatusCode code = stream->Finish().error_code();
    const StatusCode expected = way() == Way::kCancel     ? StatusCode::CANCELLED
                                : way() == Way::kDeadline ? StatusCode::DEADLINE_EXCEEDED
                                                          : StatusCode::UNAVAILABLE;
    EXPECT_EQ(code, expected);
    gate_.Open();
    for (int model : {0, 1}) {
      while (server_.host->engine().admission().usage(model).used > 0) std::this_thread::yield();
    }
  }

  StepGate gate_;
  Server server_;
  std::unique_ptr<Wire> wire_;
  grpc::ClientContext context_;
};

class Voice : public LeavingTest {};
TEST_P(Voice, FreesItsSlot) {
  auto stub = v1::SpeechService::NewStub(wire_->channel());
  auto stream = stub->Synthesize(&context_);
  stream->Write(Request("config {}"));
  stream->Write(Text("One sentence. And anoth"));  // never ends by itself
  Leave(stream.get());
  ExpectUnharmed(server_);
}

class World : public LeavingTest {};
TEST_P(World, FreesItsSlot) {
  auto stub = v1::WorldService::NewStub(wire_->channel());
  auto stream = stub->StepWorld(&context_);
  stream->Write(Say(OpenNew(1)));
  stream->Write(Step(1, "W"));
  Leave(stream.get());
  EXPECT_TRUE(server_.host->worlds().WaitUntilParked(absl::Seconds(30)));
  EXPECT_EQ(server_.host->worlds().counts().parked, 1) << "it can be resumed";
  ExpectUnharmed(server_);
}

// The only slot is still taken by the stream that broke: the player waits for that one.
class Reopen : public WorldTest {};
TEST_F(Reopen, WaitsForItsOwnSeat) {
  StepGate gate;
  Server server = Start({.slots = 1, .on_step = gate.on_step()});
  auto frames = Frames(9, {"W", "A", "S"});
  v1::WorldOpened opened;
  {
    Player broken(server.stub.get());
    broken.Send(OpenNew(9));
    broken.Play({"W"});
    gate.Arm(Stage::kGenerate);
    broken.Send(Step(2, "A"));
    gate.WaitUntilReached();
    opened = broken.opened();
    broken.Cancel();
    broken.Finish();
  }
  Player again(server.stub.get());
  again.Send(Resume(opened, 0));
  gate.Open();
  again.ReadBlocks(1);
  EXPECT_EQ(again.opened().session_id(), opened.session_id());
  again.Play({"S"}, 3);
  ExpectBlocks(again, 1, {frames[1], frames[2]});
}

std::string NameOfCase(const testing::TestParamInfo<std::tuple<Stage, Way>>& info) {
  return absl::StrCat(std::string(StageName(std::get<0>(info.param))), "_",
                      NameOf(std::get<1>(info.param)));
}

const auto kWays = testing::Values(Way::kCancel, Way::kDeadline, Way::kDisconnect);
INSTANTIATE_TEST_SUITE_P(
    Leaves, Voice,
    testing::Combine(testing::Values(Stage::kPrefill, Stage::kGenerate, Stage::kDecode), kWays),
    NameOfCase);
INSTANTIATE_TEST_SUITE_P(Leaves, World,
                         testing::Combine(testing::Values(Stage::kPrefill, Stage::kGenerate,
                                                          Stage::kDecode, Stage::kCommit),
                                          kWays),
                         NameOfCase);

}  // namespace
}  // namespace firstbyte

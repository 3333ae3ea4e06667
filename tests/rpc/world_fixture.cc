#include "tests/rpc/world_fixture.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "base/log.h"
#include "google/protobuf/text_format.h"

namespace firstbyte {
namespace {

constexpr char kRaw[] = "video { format: VIDEO_FORMAT_RAW_RGB }";

}  // namespace

v1::StepWorldRequest Say(const std::string& text_format) {
  v1::StepWorldRequest request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text_format, &request)) << text_format;
  return request;
}

std::string OpenNew(uint64_t seed) {
  return absl::StrCat("open { create { seed: ", seed, " } ", kRaw, " }");
}
std::string OpenSnapshot(const std::string& id) {
  return absl::StrCat("open { snapshot { snapshot_id: '", id, "' } ", kRaw, " }");
}
std::string Resume(const v1::WorldOpened& opened, int64_t last_block) {
  return absl::StrCat("open { resume { session_id: '", opened.session_id(), "' token: '",
                      opened.token(), "' last_block_received: ", last_block, " } ", kRaw, " }");
}

v1::StepWorldRequest Step(int64_t sequence, const std::string& key) {
  v1::StepWorldRequest request;
  request.mutable_actions()->set_sequence(sequence);
  if (!key.empty()) request.mutable_actions()->add_keys(key);
  return request;
}

// ---- Player. ----

Player::Player(v1::WorldService::Stub* stub, const std::string& tenant) {
  if (!tenant.empty()) context_.AddMetadata("x-tenant", tenant);
  stream_ = stub->StepWorld(&context_);
}

Player::~Player() {
  if (finished_) return;
  Cancel();
  Finish();
}

bool Player::Read() {
  v1::StepWorldResponse response;
  if (!stream_->Read(&response)) return false;
  if (response.has_opened()) opened_ = response.opened();
  if (response.has_block()) blocks_.push_back(response.block());
  responses_.push_back(std::move(response));
  return true;
}

int Player::ReadUntil(const std::string& kind) {
  const auto* field = v1::StepWorldResponse::descriptor()->FindFieldByName(kind);
  while (Read()) {
    if (last().GetReflection()->HasField(last(), field)) {
      return static_cast<int>(responses_.size()) - 1;
    }
  }
  return -1;
}

void Player::ReadBlocks(size_t count) {
  while (blocks_.size() < count && Read()) {
  }
}

void Player::Play(const std::vector<std::string>& keys, int64_t first_sequence) {
  const size_t had = blocks_.size();
  for (size_t i = 0; i < keys.size(); ++i) {
    Send(Step(first_sequence + static_cast<int64_t>(i), keys[i]));
  }
  ReadBlocks(had + keys.size());
}

const grpc::Status& Player::Finish() {
  if (finished_) return status_;
  while (Read()) {
  }
  status_ = stream_->Finish();
  finished_ = true;
  return status_;
}

std::string Player::audio() const {
  std::string all;
  for (const auto& response : responses_) all += response.audio().data();
  return all;
}

std::map<std::string, std::string> Player::trailers() const {
  std::map<std::string, std::string> trailers;
  for (const auto& [key, value] : context_.GetServerTrailingMetadata()) {
    trailers[std::string(key.data(), key.size())] = std::string(value.data(), value.size());
  }
  return trailers;
}

// ---- WorldTest. ----

WorldTest::WorldTest()
    : folder_(std::filesystem::temp_directory_path() / ("world_test." + NewUuid())) {
  EXPECT_TRUE(ConfigureLog(LogFormat::kText, "error").ok());
}

WorldTest::~WorldTest() { std::filesystem::remove_all(folder_); }

WorldTest::Server WorldTest::Start(ScriptedWorldOptions world, HostOptions options) {
  return StartWith(MakeScriptedWorld(std::move(world)), std::move(options));
}

WorldTest::Server WorldTest::StartWith(std::unique_ptr<Model> world, HostOptions options) {
  Server server;
  // A real world under a sanitizer may be slower than its own pace.
  options.admission.max_load = 0;
  auto host = Host::Listen(std::move(options));
  EXPECT_TRUE(host.ok()) << host.status();
  server.host = *std::move(host);
  std::vector<std::vector<std::unique_ptr<Model>>> lanes(1);
  lanes[0].push_back(MakeScriptedModel());
  lanes[0].push_back(std::move(world));
  absl::Status status = server.host->Serve(std::move(lanes));
  EXPECT_TRUE(status.ok()) << status;
  Connect(&server);
  return server;
}

void WorldTest::Connect(Server* server) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  server->channel = grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", server->host->port()),
                                              grpc::InsecureChannelCredentials(), arguments);
  server->stub = v1::WorldService::NewStub(server->channel);
  server->speech = v1::SpeechService::NewStub(server->channel);
}

WorldTest::Server WorldTest::StartShared(ScriptedWorldOptions world, HostOptions options) {
  options.worlds.snapshot_dir = folder_.string();
  options.worlds.token_secret = "a secret that two servers share";
  return Start(std::move(world), std::move(options));
}

void WorldTest::ExpectUnharmed(Server& server) {
  server.host->live_calls().WaitUntilNone();
  EXPECT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(30)));
  for (int model : {0, 1}) EXPECT_EQ(server.host->engine().admission().usage(model).used, 0);
  Player player(server.stub.get());
  player.Send("open { create { seed: 5 } video { format: VIDEO_FORMAT_RAW_RGB } }");
  player.Send(Step(1, "W"));
  player.Send(Step(2, ""));
  player.HalfClose();
  EXPECT_TRUE(player.Finish().ok()) << player.Finish().error_message();
  ExpectBlocks(player, 0, Frames(5, {"W", ""}));
}

std::vector<std::vector<std::string>> WorldTest::Frames(uint64_t seed,
                                                        const std::vector<std::string>& keys,
                                                        const std::string& prompt) {
  const ScriptedWorldOptions options;
  const std::vector<std::string> names = MakeScriptedWorld()->info().world->keys;
  ScriptedWorldReplay replay(options, seed, {.text = prompt});
  std::vector<std::vector<std::string>> blocks;
  for (const std::string& key : keys) {
    BlockActions actions;
    const auto at = std::find(names.begin(), names.end(), key) - names.begin();
    if (!key.empty()) actions.keys.set(at);
    const Output output = replay.Next(actions);
    const size_t size = size_t{3} * options.width * options.height;
    std::vector<std::string>& frames = blocks.emplace_back();
    for (size_t begin = 0; begin < output.frames.size(); begin += size) {
      const auto* data = reinterpret_cast<const char*>(output.frames.data());
      frames.emplace_back(data + begin, size);
    }
  }
  return blocks;
}

std::vector<std::string> WorldTest::FramesOf(const v1::Block& block) {
  std::vector<std::string> frames;
  for (const auto& frame : block.frames()) frames.push_back(frame.data());
  return frames;
}

void WorldTest::ExpectBlocks(const Player& player, int64_t first,
                             const std::vector<std::vector<std::string>>& frames) {
  ASSERT_EQ(player.blocks().size(), frames.size());
  for (size_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(player.blocks()[i].index(), first + static_cast<int64_t>(i));
    EXPECT_TRUE(FramesOf(player.blocks()[i]) == frames[i]) << "block " << first + i;
  }
}

}  // namespace firstbyte

// A world of the second family behind StepWorld: what a player is sent is what the model makes when
// it is run by hand, however the session got there.
#include <algorithm>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "model/registry/registry.h"
#include "tests/rpc/world_fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;

constexpr int kWidth = 256, kHeight = 128, kFramesPerBlock = 4;
// Past the wrap of the near ring (4 frames) and of the far one (4 frames that lie 3 apart).
constexpr int kBlocks = 15;

std::string TinyFolder() {
  return std::string(FIRSTBYTE_SOURCE_DIR) + "/tests/golden/waypoint-tiny";
}

// What the player does in block `i`.
v1::StepWorldRequest Deed(int i) {
  v1::StepWorldRequest request;
  v1::Actions& actions = *request.mutable_actions();
  actions.set_sequence(i + 1);
  if (i % 2 == 0) actions.add_keys("MOUSE_LEFT");
  if (i % 3 == 0) actions.add_keys("MOUSE_BACK");
  actions.set_pointer_dx(static_cast<float>(i % 5) / 4 - 0.5f);
  actions.set_pointer_dy(static_cast<float>(i % 7) / 7 - 0.5f);
  actions.set_scroll(static_cast<float>(i % 3) - 1);
  return request;
}

BlockActions AsModelInput(const v1::Actions& actions, const std::vector<std::string>& keys) {
  BlockActions input;
  for (const std::string& key : actions.keys()) {
    input.keys.set(std::find(keys.begin(), keys.end(), key) - keys.begin());
  }
  input.pointer_dx = actions.pointer_dx();
  input.pointer_dy = actions.pointer_dy();
  input.scroll = actions.scroll();
  return input;
}

// Some picture of the world's own size.
std::string RawPicture() {
  std::string rgb(size_t{3} * kWidth * kHeight, '\0');
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<char>(i * 31 + i / kWidth);
  return rgb;
}

std::vector<std::unique_ptr<Model>> OpenFolder(const std::string& folder) {
  auto models = OpenModelFolder(folder, {.lanes = 1, .slots = 3, .max_batch = 3});
  EXPECT_TRUE(models.ok()) << models.status();
  return *std::move(models);
}

// A model run by hand, one step after another.
class ByHand {
 public:
  explicit ByHand(uint64_t seed, bool with_picture = false) : model_(OpenFolder(TinyFolder())) {
    SessionSpec spec;
    spec.seed = seed;
    if (with_picture) {
      RgbImage image{kWidth, kHeight, {}};
      for (char byte : RawPicture()) image.data.push_back(static_cast<uint8_t>(byte));
      spec.scene = *model_[0]->Prepare({.text = "", .embedding = {}, .image = std::move(image)});
    }
    session_ = *model_[0]->Open(spec);
  }

  // Frames of the next block, one after another.
  std::string Next(const v1::Actions& actions) {
    Run();
    EXPECT_TRUE(session_->Push(AsModelInput(actions, model_[0]->info().world->keys)).ok());
    return Run();
  }

 private:
  std::string Run() {
    std::string frames;
    for (Work work = session_->work(); work.any(); work = session_->work()) {
      const Stage stage = work.prefill             ? Stage::kPrefill
                          : work.generate          ? Stage::kGenerate
                          : work.decode_frames > 0 ? Stage::kDecode
                                                   : Stage::kCommit;
      Session* batch[] = {session_.get()};
      StepReport report;
      EXPECT_TRUE(model_[0]->Wait(model_[0]->Submit(stage, batch, 16), &report).ok());
      EXPECT_TRUE(report.session_status[0].ok()) << report.session_status[0];
      const Output output = session_->Take();
      if (output.block >= 0) frames.assign(output.frames.begin(), output.frames.end());
    }
    return frames;
  }

  std::vector<std::unique_ptr<Model>> model_;
  std::unique_ptr<Session> session_;
};

std::vector<std::string> Expected(uint64_t seed, int blocks = kBlocks, bool with_picture = false) {
  ByHand world(seed, with_picture);
  std::vector<std::string> frames;
  for (int i = 0; i < blocks; ++i) frames.push_back(world.Next(Deed(i).actions()));
  return frames;
}

class WaypointWorldTest : public WorldTest {
 protected:
  Server StartWaypoint(const std::string& folder = TinyFolder(), HostOptions options = {}) {
    return StartWith(std::move(OpenFolder(folder)[0]), std::move(options));
  }

  HostOptions Shared() const {
    HostOptions options;
    options.worlds.snapshot_dir = folder_.string();
    options.worlds.token_secret = "a secret that two servers share";
    return options;
  }

  // Plays Deed(first) to Deed(first + count - 1), a block each.
  static void Play(Player* player, int first, int count) {
    const size_t had = player->blocks().size();
    for (int i = first; i < first + count; ++i) player->Send(Deed(i));
    player->ReadBlocks(had + count);
  }

  static std::string FramesIn(const v1::Block& block) {
    std::string frames;
    for (const v1::Frame& frame : block.frames()) frames += frame.data();
    return frames;
  }

  // That the player got blocks first, first + 1, ... as `expected` has them.
  static void ExpectFrames(const Player& player, int first,
                           const std::vector<std::string>& expected) {
    ASSERT_LE(first + player.blocks().size(), expected.size());
    for (size_t i = 0; i < player.blocks().size(); ++i) {
      const v1::Block& block = player.blocks()[i];
      EXPECT_EQ(block.index(), static_cast<int64_t>(first + i));
      EXPECT_EQ(block.frames_size(), kFramesPerBlock);
      EXPECT_TRUE(FramesIn(block) == expected[first + i]) << "block " << first + i;
    }
  }

  static std::string Snapshot(Player* player) {
    player->Send("control { kind: CONTROL_KIND_SNAPSHOT }");
    EXPECT_GE(player->ReadUntil("snapshot"), 0);
    return player->last().snapshot().snapshot_id();
  }
};

TEST_F(WaypointWorldTest, IsListedWithItsOwnVocabulary) {
  Server server = StartWaypoint();
  grpc::ClientContext context;
  v1::ListWorldsResponse response;
  ASSERT_TRUE(server.stub->ListWorlds(&context, {}, &response).ok());
  ASSERT_EQ(response.worlds_size(), 1);
  const v1::World& world = response.worlds(0);
  EXPECT_EQ(world.model(), "waypoint-tiny");
  EXPECT_EQ(world.width(), kWidth);
  EXPECT_EQ(world.height(), kHeight);
  EXPECT_EQ(world.fps(), 60);
  EXPECT_EQ(world.frames_per_block(), kFramesPerBlock);
  EXPECT_THAT(world.action_vocabulary().keys(),
              testing::ElementsAre("VK_00", "MOUSE_LEFT", "MOUSE_RIGHT", "VK_03", "MOUSE_MIDDLE",
                                   "MOUSE_BACK", "MOUSE_FORWARD", "VK_07"));
  EXPECT_TRUE(world.action_vocabulary().pointer());
  EXPECT_TRUE(world.action_vocabulary().scroll());
  EXPECT_EQ(world.action_vocabulary().axes_size(), 0);
  EXPECT_EQ(world.audio_sample_rate_hertz(), 0);
  EXPECT_GT(world.state_bytes(), 100'000);
  EXPECT_TRUE(world.is_default());
}

TEST_F(WaypointWorldTest, PlaysWhatTheModelMakes) {
  Server server = StartWaypoint();
  Player player(server.stub.get());
  player.Send(OpenNew(7));
  Play(&player, 0, kBlocks);
  player.HalfClose();
  ASSERT_TRUE(player.Finish().ok()) << player.Finish().error_message();
  ASSERT_EQ(player.blocks().size(), static_cast<size_t>(kBlocks));
  ExpectFrames(player, 0, Expected(7));
  EXPECT_EQ(player.blocks()[3].applied_action_sequence(), 4);
  EXPECT_EQ(player.blocks()[3].presentation_offset().nanos(), 200'000'000);  // 12 frames of 60
  EXPECT_EQ(player.last().summary().block_count(), kBlocks);
}

TEST_F(WaypointWorldTest, BeginsWithThePlayersPicture) {
  Server server = StartWaypoint();
  Player player(server.stub.get());
  v1::StepWorldRequest open = Say(OpenNew(8));
  open.mutable_open()->mutable_create()->set_initial_image(RawPicture());
  open.mutable_open()->mutable_create()->set_initial_image_format(v1::VIDEO_FORMAT_RAW_RGB);
  player.Send(open);
  Play(&player, 0, 4);
  ASSERT_EQ(player.blocks().size(), 4u) << player.Finish().error_message();
  ExpectFrames(player, 0, Expected(8, 4, /*with_picture=*/true));
}

// With actions behind it, which wait for the picture to be prefilled again.
TEST_F(WaypointWorldTest, AResetGoesBackToThePicture) {
  Server server = StartWaypoint();
  Player player(server.stub.get());
  v1::StepWorldRequest open = Say(OpenNew(8));
  open.mutable_open()->mutable_create()->set_initial_image(RawPicture());
  open.mutable_open()->mutable_create()->set_initial_image_format(v1::VIDEO_FORMAT_RAW_RGB);
  player.Send(open);
  Play(&player, 5, 3);
  player.Send("control { kind: CONTROL_KIND_RESET }");
  for (int i = 0; i < 4; ++i) {
    v1::StepWorldRequest deed = Deed(i);
    deed.mutable_actions()->set_sequence(20 + i);
    player.Send(deed);
  }
  player.ReadBlocks(7);
  ASSERT_EQ(player.blocks().size(), 7u) << player.Finish().error_message();
  const std::vector<std::string> expected = Expected(8, 4, /*with_picture=*/true);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(player.blocks()[3 + i].index(), 3 + i);
    EXPECT_TRUE(FramesIn(player.blocks()[3 + i]) == expected[i]) << i;
  }
}

TEST_F(WaypointWorldTest, NeighboursDoNotChangeAWorld) {
  Server server = StartWaypoint();
  std::vector<std::thread> players;
  for (uint64_t seed : {1, 2, 3}) {
    players.emplace_back([&server, seed] {
      Player player(server.stub.get());
      player.Send(OpenNew(seed));
      Play(&player, 0, 8);
      EXPECT_EQ(player.blocks().size(), 8u) << player.Finish().error_message();
      ExpectFrames(player, 0, Expected(seed, 8));
    });
  }
  for (std::thread& player : players) player.join();
}

TEST_F(WaypointWorldTest, AForkGoesOnWithTheSameBytes) {
  Server server = StartWaypoint();
  const std::vector<std::string> expected = Expected(5);
  Player player(server.stub.get());
  player.Send(OpenNew(5));
  Play(&player, 0, 6);
  const std::string id = Snapshot(&player);
  Player fork(server.stub.get());
  fork.Send(OpenSnapshot(id));
  Play(&fork, 6, kBlocks - 6);
  ASSERT_EQ(fork.blocks().size(), static_cast<size_t>(kBlocks - 6))
      << fork.Finish().error_message();
  ExpectFrames(fork, 6, expected);
  // The original does something else meanwhile, and gets something else; a second fork does not.
  Play(&player, 9, 1);
  EXPECT_NE(player.blocks()[6].frames(0).data(), fork.blocks()[0].frames(0).data());
  Player second(server.stub.get());
  second.Send(OpenSnapshot(id));
  Play(&second, 6, 2);
  ASSERT_EQ(second.blocks().size(), 2u) << second.Finish().error_message();
  ExpectFrames(second, 6, expected);
}

TEST_F(WaypointWorldTest, ABrokenStreamIsParkedAndResumed) {
  Server server = StartWaypoint();
  const std::vector<std::string> expected = Expected(9);
  v1::WorldOpened opened;
  {
    Player player(server.stub.get());
    player.Send(OpenNew(9));
    Play(&player, 0, 7);
    opened = player.opened();
    ExpectFrames(player, 0, expected);
  }
  ASSERT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(60)));
  EXPECT_EQ(server.host->engine().admission().usage(1).used, 0);
  Player again(server.stub.get());
  again.Send(Resume(opened, 5));  // block 6 was lost on the way
  again.ReadBlocks(1);
  Play(&again, 7, kBlocks - 7);
  ASSERT_EQ(again.blocks().size(), static_cast<size_t>(kBlocks - 6))
      << again.Finish().error_message();
  ExpectFrames(again, 6, expected);
}

TEST_F(WaypointWorldTest, AWorldMovesBetweenServers) {
  Server here = StartWaypoint(TinyFolder(), Shared());
  Server there = StartWaypoint(TinyFolder(), Shared());
  const std::vector<std::string> expected = Expected(11);
  v1::WorldOpened opened;
  {
    Player player(here.stub.get());
    player.Send(OpenNew(11));
    Play(&player, 0, 5);
    opened = player.opened();
    ExpectFrames(player, 0, expected);
  }
  ASSERT_TRUE(here.host->worlds().WaitUntilParked(absl::Seconds(60)));
  Player player(there.stub.get());
  player.Send(Resume(opened, 4));
  Play(&player, 5, kBlocks - 5);
  ASSERT_EQ(player.blocks().size(), static_cast<size_t>(kBlocks - 5))
      << player.Finish().error_message();
  ExpectFrames(player, 5, expected);
}

// One bit of one weight makes another world.
TEST_F(WaypointWorldTest, ASnapshotOfOtherWeightsIsRefused) {
  const std::string other = (folder_ / "other" / "waypoint-tiny").string();
  std::filesystem::create_directories(other);
  std::filesystem::copy(TinyFolder(), other);
  {
    std::fstream weights(other + "/model.safetensors",
                         std::ios::in | std::ios::out | std::ios::binary);
    weights.seekg(-2, std::ios::end);
    const char last = static_cast<char>(weights.get() ^ 1);
    weights.seekp(-2, std::ios::end);
    weights.put(last);
  }
  HostOptions options = Shared();
  options.worlds.snapshot_dir += "/snapshots";
  std::string id;
  {
    Server server = StartWaypoint(TinyFolder(), options);
    Player player(server.stub.get());
    player.Send(OpenNew(3));
    Play(&player, 0, 2);
    id = Snapshot(&player);
  }
  Server server = StartWaypoint(other, options);
  Player player(server.stub.get());
  player.Send(OpenSnapshot(id));
  EXPECT_EQ(player.Finish().error_code(), StatusCode::FAILED_PRECONDITION)
      << player.Finish().error_message();
}

TEST_F(WaypointWorldTest, WhatItDoesNotUnderstandIsRefused) {
  Server server = StartWaypoint();
  const struct {
    const char* said;
    StatusCode code;
    const char* reason;
  } cases[] = {
      // The world has eight buttons; "W" is number 0x57.
      {"actions { sequence: 1 keys: 'W' }", StatusCode::INVALID_ARGUMENT, "UNKNOWN_KEY"},
      {"actions { sequence: 1 keys: 'mouse_left' }", StatusCode::INVALID_ARGUMENT, "UNKNOWN_KEY"},
      {"actions { sequence: 1 axes { key: 'LX' value: 1 } }", StatusCode::INVALID_ARGUMENT,
       "UNKNOWN_AXIS"},
      {"actions { sequence: 1 pointer_dx: nan }", StatusCode::INVALID_ARGUMENT, "NOT_A_NUMBER"},
      {"actions { sequence: 1 scroll: inf }", StatusCode::INVALID_ARGUMENT, "NOT_A_NUMBER"},
      {"prompt { text: 'a lagoon' }", StatusCode::UNIMPLEMENTED, "NOT_SUPPORTED"},
  };
  for (const auto& each : cases) {
    Player player(server.stub.get());
    player.Send(OpenNew(1));
    player.ReadUntil("opened");
    player.Send(each.said);
    player.Send(Deed(0));
    player.HalfClose();
    EXPECT_EQ(player.Finish().error_code(), each.code) << each.said;
    EXPECT_EQ(ErrorInfoOf(player.Finish()).reason(), each.reason) << each.said;
    // It is parked behind the error, and its slot comes back then.
    server.host->live_calls().WaitUntilNone();
    ASSERT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(60)));
  }
  Player prompted(server.stub.get());
  prompted.Send("open { create { seed: 1 prompt: 'a lagoon' } }");
  EXPECT_EQ(prompted.Finish().error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(ErrorInfoOf(prompted.Finish()).reason(), "NOT_SUPPORTED");
  Player player(server.stub.get());  // and nobody else is any the worse for it
  player.Send(OpenNew(2));
  Play(&player, 0, 2);
  ASSERT_EQ(player.blocks().size(), 2u);
  ExpectFrames(player, 0, Expected(2, 2));
}

}  // namespace
}  // namespace firstbyte

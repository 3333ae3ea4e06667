// The embedded family of worlds behind StepWorld, on the CPU and on an emulated GPU: same seed and
// deeds, same pictures and sound, alone, beside others, parked and resumed, moved to another
// server.
#include <algorithm>
#include <future>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "model/registry/registry.h"
#include "tests/model/cuda/emulated_device.h"
#include "tests/rpc/world_fixture.h"

namespace firstbyte {
namespace {

constexpr int kBlocks = 14;
constexpr int kPromptAt = 5;

enum class Place { kCpu, kGpu };

std::unique_ptr<Model> OpenTiny(Place place) {
  ModelOptions options{.lanes = 1, .slots = 4, .max_batch = 4};
  if (place == Place::kGpu) options.gpu = cuda::GpuOptions{.plugin = &cuda::EmulatedPlugin()};
  auto models =
      OpenModelFolder(std::string(FIRSTBYTE_SOURCE_DIR) + "/tests/golden/state_dit_tiny", options);
  EXPECT_TRUE(models.ok()) << models.status();
  return std::move(models->at(0));
}

v1::StepWorldRequest OpenWithSound(const std::string& text_format) {
  v1::StepWorldRequest open = Say(text_format);
  open.mutable_open()->mutable_audio()->set_encoding(v1::AUDIO_ENCODING_PCM16);
  return open;
}

// Plays blocks first to last; a prompt comes before block kPromptAt.
void Play(Player* player, int first, int last) {
  const char* keys[] = {"forward", "turn_left", "", "right"};
  const size_t had = player->blocks().size();
  for (int i = first; i <= last; ++i) {
    if (i == kPromptAt) player->Send("prompt { text: 'a snowy night' }");
    player->Send(Step(i + 1, keys[i % 4]));
  }
  player->ReadBlocks(had + last + 1 - first);
  if (player->blocks().size() < had + last + 1 - first) {
    ADD_FAILURE() << player->Finish().error_message();
  }
}

// Of all blocks that came: pictures, then sound.
struct Media {
  std::vector<std::vector<std::string>> frames;
  std::string sound;
};
void Add(Player* player, Media* media) {
  player->HalfClose();
  player->Finish();
  for (const v1::Block& block : player->blocks()) {
    auto& frames = media->frames.emplace_back();
    for (const v1::Frame& frame : block.frames()) frames.push_back(frame.data());
  }
  media->sound += player->audio();
}

class StateDitWorldTest : public WorldTest, public testing::WithParamInterface<Place> {
 protected:
  Server StartTiny(HostOptions options = {}) {
    return StartWith(OpenTiny(GetParam()), std::move(options));
  }
  HostOptions Shared() const {
    HostOptions options;
    options.worlds.snapshot_dir = folder_.string();
    options.worlds.token_secret = "a secret that two servers share";
    return options;
  }
  Media Whole(uint64_t seed) {
    Server server = StartTiny();
    Player player(server.stub.get());
    player.Send(OpenWithSound(OpenNew(seed)));
    Play(&player, 0, kBlocks - 1);
    Media media;
    Add(&player, &media);
    EXPECT_EQ(media.frames.size(), static_cast<size_t>(kBlocks));
    EXPECT_FALSE(media.sound.empty());
    return media;
  }
  static void ExpectSame(const Media& got, const Media& wanted) {
    ASSERT_EQ(got.frames.size(), wanted.frames.size());
    for (size_t i = 0; i < got.frames.size(); ++i) {
      EXPECT_TRUE(got.frames[i] == wanted.frames[i]) << "block " << i;
    }
    EXPECT_TRUE(got.sound == wanted.sound);
  }
};

TEST_P(StateDitWorldTest, APromptAndTheDeedsShowInThePictures) {
  const Media media = Whole(7);
  EXPECT_NE(media.frames[0], media.frames[1]);
  EXPECT_NE(media.frames, Whole(8).frames);
}

TEST_P(StateDitWorldTest, NeighboursDoNotChangeAWorld) {
  const Media alone[] = {Whole(1), Whole(2)};
  Server server = StartTiny();
  Media together[4];
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      Player player(server.stub.get());
      player.Send(OpenWithSound(OpenNew(1 + i % 2)));
      Play(&player, 0, kBlocks - 1);
      Add(&player, &together[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 4; ++i) ExpectSame(together[i], alone[i % 2]);
}

TEST_P(StateDitWorldTest, AWorldMovesBetweenServersWithTheSameBytes) {
  const Media whole = Whole(11);
  Server here = StartTiny(Shared()), there = StartTiny(Shared());
  Media media;
  v1::WorldOpened opened;
  for (int first = 0; first < kBlocks; first += 3) {  // to and fro, also around the prompt
    Server& server = first % 2 == 0 ? here : there;
    Player player(server.stub.get());
    const bool fresh = first == 0;
    player.Send(OpenWithSound(fresh ? OpenNew(11) : Resume(opened, first - 1)));
    const int last = std::min(first + 3, kBlocks) - 1;
    Play(&player, first, last);
    ASSERT_EQ(player.blocks().size(), static_cast<size_t>(last + 1 - first));
    opened = player.opened();
    // The sound of a block comes right behind it.
    ASSERT_TRUE(player.Read());
    player.Cancel();
    Add(&player, &media);
    ASSERT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(60)));
  }
  ExpectSame(media, whole);
}

TEST_P(StateDitWorldTest, ASnapshotGoesOnWithTheSameBytes) {
  const Media whole = Whole(3);
  Server server = StartTiny();
  Player player(server.stub.get());
  player.Send(OpenNew(3));
  Play(&player, 0, 8);
  player.Send("control { kind: CONTROL_KIND_SNAPSHOT }");
  ASSERT_GE(player.ReadUntil("snapshot"), 0);
  Player fork(server.stub.get());
  fork.Send(OpenSnapshot(player.last().snapshot().snapshot_id()));
  Play(&fork, 9, kBlocks - 1);
  Media media;
  Add(&fork, &media);
  ASSERT_EQ(media.frames.size(), static_cast<size_t>(kBlocks - 9));
  for (size_t i = 0; i < media.frames.size(); ++i) {
    EXPECT_TRUE(media.frames[i] == whole.frames[9 + i]) << "block " << 9 + i;
  }
}

TEST_P(StateDitWorldTest, OnePlayerTooManyIsRefusedWhileTheOthersPlay) {
  Server server = StartTiny();
  std::vector<std::unique_ptr<Player>> players;
  for (int i = 0; i < 4; ++i) {
    players.push_back(std::make_unique<Player>(server.stub.get()));
    players[i]->Send(OpenNew(i));
    ASSERT_GE(players[i]->ReadUntil("opened"), 0);
  }
  Player late(server.stub.get());
  late.Send(OpenNew(9));
  EXPECT_EQ(late.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  for (const auto& player : players) {
    player->Play({"forward"});
    EXPECT_EQ(player->blocks().size(), 1u);
  }
}

INSTANTIATE_TEST_SUITE_P(On, StateDitWorldTest, testing::Values(Place::kCpu, Place::kGpu),
                         [](const auto& info) {
                           return info.param == Place::kCpu ? "Cpu" : "Gpu";
                         });

// As DESIGN.md says: every session ends UNAVAILABLE, who comes is refused, and the program is told.
TEST_F(WorldTest, ALostDeviceEndsItsPlayersAndTellsTheProgram) {
  std::promise<absl::Status> lost;
  HostOptions options;
  options.lane.on_device_lost = [&lost](const absl::Status& status) { lost.set_value(status); };
  Server server = StartWith(OpenTiny(Place::kGpu), std::move(options));
  const std::vector<cuda::Device*> devices = cuda::OpenEmulatedDevices();
  ASSERT_EQ(devices.size(), 1u);
  cuda::Emulation& emulation = cuda::EmulationOf(devices[0]);
  Player one(server.stub.get()), other(server.stub.get());
  for (Player* player : {&one, &other}) {
    player->Send(OpenNew(1));
    player->Play({"forward"});
    EXPECT_EQ(player->blocks().size(), 1u);
  }
  emulation.steps_to_live = emulation.steps + 3;  // in the middle of the next step
  one.Send(Step(2, "forward"));
  for (Player* player : {&one, &other}) {
    EXPECT_EQ(player->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(player->blocks().size(), 1u);
  }
  EXPECT_EQ(DetailOf(lost.get_future().get()).reason, "DEVICE_LOST");
  Player late(server.stub.get());
  late.Send(OpenNew(2));
  EXPECT_EQ(late.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace firstbyte

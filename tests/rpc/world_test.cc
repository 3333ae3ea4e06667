// StepWorld, end to end: what a player sees, and snapshots.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "server/stream/sha256.h"
#include "tests/rpc/world_fixture.h"

namespace firstbyte {
namespace {

constexpr char kRaw[] = "video { format: VIDEO_FORMAT_RAW_RGB }";

using Pieces = std::pair<v1::WorldSnapshot, std::vector<std::string>>;
grpc::Status Export(v1::WorldService::Stub& stub, const std::string& id, Pieces* pieces) {
  grpc::ClientContext context;
  v1::ExportSnapshotRequest request;
  request.set_snapshot_id(id);
  auto stream = stub.ExportSnapshot(&context, request);
  for (v1::ExportSnapshotResponse response; stream->Read(&response);) {
    if (response.has_snapshot()) pieces->first = response.snapshot();
    if (response.has_data()) pieces->second.push_back(response.data());
  }
  return stream->Finish();
}
grpc::Status Import(v1::WorldService::Stub& stub, const Pieces& pieces,
                    v1::WorldSnapshot* imported) {
  grpc::ClientContext context;
  v1::ImportSnapshotResponse response;
  auto stream = stub.ImportSnapshot(&context, &response);
  v1::ImportSnapshotRequest request;
  *request.mutable_snapshot() = pieces.first;
  stream->Write(request);
  for (const std::string& data : pieces.second) {
    request.set_data(data);
    stream->Write(request);
  }
  stream->WritesDone();
  grpc::Status status = stream->Finish();
  *imported = response.snapshot();
  return status;
}

// ---- Playing. ----

TEST_F(WorldTest, LockstepMakesOneBlockForEachAction) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(OpenNew(7));
  player.Play({"W", "", "D"});
  player.HalfClose();
  ASSERT_TRUE(player.Finish().ok()) << player.Finish().error_message();
  const v1::WorldOpened& opened = player.opened();
  EXPECT_EQ(opened.model(), "scripted-world");
  EXPECT_EQ(opened.seed(), 7u);
  EXPECT_EQ(opened.width(), 8);
  EXPECT_EQ(opened.frames_per_block(), 2);
  EXPECT_EQ(opened.video_format(), v1::VIDEO_FORMAT_RAW_RGB);
  EXPECT_THAT(opened.action_vocabulary().keys(), testing::Contains("SPACE"));
  EXPECT_FALSE(opened.has_audio_format());
  ExpectBlocks(player, 0, Frames(7, {"W", "", "D"}));
  EXPECT_EQ(player.blocks()[2].applied_action_sequence(), 3);
  EXPECT_EQ(player.blocks()[2].presentation_offset().nanos(), 200'000'000);
  EXPECT_TRUE(player.responses().front().has_opened());
  ASSERT_TRUE(player.last().has_summary());
  EXPECT_EQ(player.last().summary().end_reason(), v1::WORLD_END_REASON_CLOSED);
  EXPECT_EQ(player.last().summary().block_count(), 3);
  EXPECT_EQ(player.trailers().count("x-request-id"), 1u);
  EXPECT_EQ(player.trailers().count("x-ttfb-ms"), 1u);
  ExpectUnharmed(server);
}

TEST_F(WorldTest, ThePlayersOwnTimeComesBack) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(OpenNew(1));
  player.Send("actions { sequence: 41 client_time { seconds: 1700000000 nanos: 123456789 } }");
  player.ReadBlocks(1);
  EXPECT_EQ(player.blocks()[0].applied_action_sequence(), 41);
  EXPECT_EQ(player.blocks()[0].client_time().seconds(), 1700000000);
  EXPECT_EQ(player.blocks()[0].client_time().nanos(), 123456789);
}

TEST_F(WorldTest, RepeatPlaysAnActionSeveralTimes) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(OpenNew(1));
  player.Send("actions { sequence: 1 keys: 'W' repeat: 3 }");
  player.HalfClose();
  ASSERT_TRUE(player.Finish().ok()) << player.Finish().error_message();
  ExpectBlocks(player, 0, Frames(1, {"W", "W", "W"}));
}

TEST_F(WorldTest, PicturesAreCodedAsAskedFor) {
  Server server = Start();
  for (const auto& [format, magic] :
       {std::pair<std::string, std::string>("JPEG", "\xff\xd8\xff"), {"PNG", "\x89PNG"}}) {
    Player player(server.stub.get());
    player.Send("open { video { format: VIDEO_FORMAT_" + format + " } }");
    player.Play({"W"});
    ASSERT_EQ(player.blocks().size(), 1u);
    for (const auto& frame : player.blocks()[0].frames()) {
      EXPECT_EQ(frame.data().substr(0, magic.size()), magic);
    }
  }
}

TEST_F(WorldTest, SoundComesWhenAskedFor) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(absl::StrCat("open { create { seed: 1 } audio {} ", kRaw, " }"));
  player.Play({"W", "A"});
  player.HalfClose();
  ASSERT_TRUE(player.Finish().ok()) << player.Finish().error_message();
  EXPECT_EQ(player.opened().audio_format().sample_rate_hertz(), 16000);
  EXPECT_EQ(player.audio().size(), 2u * 2 * 800 * 2);  // blocks, frames, samples, bytes
}

TEST_F(WorldTest, FreeRunMakesAsManyBlocksAsThereIsCredit) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(absl::StrCat("open { create { seed: 1 } pacing: PACING_FREE_RUN ", kRaw, " }"));
  player.Send("credit { blocks: 6 }");
  player.ReadBlocks(10);
  EXPECT_EQ(player.blocks().size(), 10u);
  player.Send("credit { blocks: 1 }");
  player.ReadBlocks(11);
  EXPECT_EQ(player.blocks().size(), 11u);
  ExpectBlocks(player, 0, Frames(1, std::vector<std::string>(11, "")));
}

TEST_F(WorldTest, RealtimeTakesTheNewestActions) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(absl::StrCat("open { create { seed: 1 } pacing: PACING_REALTIME target_fps: 100 ",
                           "audio {} ", kRaw, " }"));
  player.Send("credit { blocks: 100 }");
  for (int i = 1; i <= 5; ++i) player.Send(Step(i, "W"));
  int64_t applied = 0;
  while (applied < 5 && player.ReadUntil("block") >= 0) {
    applied = player.blocks().back().applied_action_sequence();
  }
  EXPECT_EQ(applied, 5);
}

TEST_F(WorldTest, APromptSaysWhereItTakesEffect) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(OpenNew(1));
  player.Play({"W"});
  player.Send("prompt { text: 'a forest' }");
  player.Play({"A"}, 2);
  auto notice =
      std::find_if(player.responses().begin(), player.responses().end(), [](const auto& response) {
        return response.notice().kind() == v1::NOTICE_KIND_PROMPT_APPLIED;
      });
  ASSERT_NE(notice, player.responses().end());
  EXPECT_EQ(notice->notice().block(), 1);
  EXPECT_NE(FramesOf(player.blocks()[1]), Frames(1, {"W", "A"})[1]);
}

TEST_F(WorldTest, SameSeedAndActionsGiveTheSameBytesWhoeverElsePlays) {
  Server server = Start();
  std::vector<std::unique_ptr<Player>> players;
  const std::vector<std::string> keys = {"W", "W", "SPACE", "A", "", "D"};
  for (uint64_t i = 0; i < 6; ++i) {
    players.push_back(std::make_unique<Player>(server.stub.get()));
    players.back()->Send(OpenNew(i % 2));
    for (size_t k = 0; k < keys.size(); ++k) players.back()->Send(Step(k + 1, keys[k]));
  }
  for (uint64_t i = 0; i < 6; ++i) {
    players[i]->ReadBlocks(keys.size());
    ExpectBlocks(*players[i], 0, Frames(i % 2, keys));
  }
}

TEST_F(WorldTest, WorldsAndVoicesAreListedApart) {
  Server server = Start();
  grpc::ClientContext context;
  v1::ListWorldsResponse worlds;
  ASSERT_TRUE(server.stub->ListWorlds(&context, {}, &worlds).ok());
  ASSERT_EQ(worlds.worlds_size(), 1);
  const v1::World& world = worlds.worlds(0);
  EXPECT_EQ(world.model(), "scripted-world");
  EXPECT_EQ(world.height(), 6);
  EXPECT_EQ(world.prompt_dimensions(), 4);
  EXPECT_EQ(world.audio_sample_rate_hertz(), 16000);
  EXPECT_TRUE(world.is_default());
  EXPECT_EQ(world.action_vocabulary().keys_size(), 5);

  grpc::ClientContext voices_context;
  v1::ListVoicesResponse voices;
  ASSERT_TRUE(server.speech->ListVoices(&voices_context, {}, &voices).ok());
  for (const auto& voice : voices.voices()) EXPECT_EQ(voice.model(), "scripted");
  EXPECT_GE(voices.voices_size(), 1);
}

// ---- Snapshots. ----

TEST_F(WorldTest, ASnapshotGoesOnWithTheSameBytes) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(OpenNew(3));
  player.Play({"W", "A"});
  player.Send("control { kind: CONTROL_KIND_SNAPSHOT }");
  ASSERT_GE(player.ReadUntil("snapshot"), 0);
  const v1::WorldSnapshot snapshot = player.last().snapshot();
  EXPECT_EQ(snapshot.block(), 2);
  EXPECT_EQ(snapshot.sha256().size(), 32u);
  player.Play({"S"}, 3);  // the original goes its own way

  for (int fork = 0; fork < 2; ++fork) {
    Player copy(server.stub.get());
    copy.Send(OpenSnapshot(snapshot.snapshot_id()));
    copy.Play({"D", "W"}, 3);
    EXPECT_EQ(copy.opened().next_block(), 2);
    auto whole = Frames(3, {"W", "A", "D", "W"});
    ExpectBlocks(copy, 2, {whole[2], whole[3]});
    EXPECT_NE(copy.opened().session_id(), player.opened().session_id());
  }
}

TEST_F(WorldTest, ASnapshotMovesToAnotherServerByExportAndImport) {
  Server here = Start(), there = Start();
  Player player(here.stub.get());
  player.Send(OpenNew(3));
  player.Play({"W"});
  player.Send("control { kind: CONTROL_KIND_SNAPSHOT }");
  ASSERT_GE(player.ReadUntil("snapshot"), 0);
  const v1::WorldSnapshot taken = player.last().snapshot();
  Pieces pieces;
  grpc::Status status = Export(*here.stub, taken.snapshot_id(), &pieces);
  ASSERT_TRUE(status.ok()) << status.error_message();
  std::string bytes;
  for (const std::string& piece : pieces.second) {
    EXPECT_LE(piece.size(), 1u << 20);
    bytes += piece;
  }
  EXPECT_EQ(static_cast<int64_t>(bytes.size()), taken.size_bytes());
  EXPECT_EQ(Sha256(bytes), taken.sha256());
  EXPECT_EQ(pieces.first.sha256(), taken.sha256());

  // In other pieces than it came in.
  pieces.second = {bytes.substr(0, 1), bytes.substr(1)};
  v1::WorldSnapshot imported;
  status = Import(*there.stub, pieces, &imported);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(imported.sha256(), taken.sha256());
  Player copy(there.stub.get());
  copy.Send(OpenSnapshot(imported.snapshot_id()));
  copy.Play({"A"}, 2);
  ExpectBlocks(copy, 1, {Frames(3, {"W", "A"})[1]});
}

}  // namespace
}  // namespace firstbyte

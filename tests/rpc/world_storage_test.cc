// What is stored of worlds, when the storage is damaged, too small, shared or too old.
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/rpc/world_fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;

using WorldStorageTest = WorldTest;

void ExpectEnd(Player* player, StatusCode code, const std::string& reason) {
  EXPECT_EQ(player->Finish().error_code(), code) << player->Finish().error_message();
  EXPECT_EQ(ErrorInfoOf(player->Finish()).reason(), reason);
}

// A world that has played "W"; the snapshot that its player then asked for.
v1::WorldSnapshot TakeSnapshot(v1::WorldService::Stub* stub, const std::string& tenant = "") {
  Player player(stub, tenant);
  player.Send(OpenNew(3));
  player.Play({"W"});
  player.Send("control { kind: CONTROL_KIND_SNAPSHOT }");
  EXPECT_GE(player.ReadUntil("snapshot"), 0);
  const v1::WorldSnapshot snapshot = player.last().snapshot();
  player.HalfClose();
  EXPECT_TRUE(player.Finish().ok()) << player.Finish().error_message();
  return snapshot;
}

// The same, parked instead.
v1::WorldOpened Park(WorldStore& worlds, v1::WorldService::Stub* stub) {
  v1::WorldOpened opened;
  {
    Player player(stub);
    player.Send(OpenNew(3));
    player.Play({"W"});
    opened = player.opened();
  }
  EXPECT_TRUE(worlds.WaitUntilParked(absl::Seconds(30)));
  return opened;
}

grpc::Status Export(v1::WorldService::Stub& stub, const std::string& id,
                    const std::string& tenant = "") {
  grpc::ClientContext context;
  if (!tenant.empty()) context.AddMetadata("x-tenant", tenant);
  v1::ExportSnapshotRequest request;
  request.set_snapshot_id(id);
  auto stream = stub.ExportSnapshot(&context, request);
  for (v1::ExportSnapshotResponse response; stream->Read(&response);) {
  }
  return stream->Finish();
}

// Flips one bit in the middle of every file below `folder`; returns how many there are.
int Damage(const std::filesystem::path& folder) {
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const auto middle = static_cast<std::streamoff>(entry.file_size() / 2);
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(middle);
    const int byte = file.get();
    file.seekp(middle);
    file.put(static_cast<char>(byte ^ 1));
    ++files;
  }
  return files;
}

// ---- Snapshots. ----

TEST_F(WorldStorageTest, ADamagedSnapshotIsDataLoss) {
  Server server = StartShared();
  const std::string id = TakeSnapshot(server.stub.get()).snapshot_id();
  ASSERT_EQ(Damage(folder_ / "snapshots"), 1);
  Player player(server.stub.get());
  player.Send(OpenSnapshot(id));
  ExpectEnd(&player, StatusCode::DATA_LOSS, "SNAPSHOT_CORRUPTED");
  const grpc::Status exported = Export(*server.stub, id);
  EXPECT_EQ(exported.error_code(), StatusCode::DATA_LOSS);
  EXPECT_EQ(ErrorInfoOf(exported).reason(), "SNAPSHOT_CORRUPTED");
  ExpectUnharmed(server);
}

TEST_F(WorldStorageTest, ASnapshotLargerThanItsRoomIsRefusedAndTheWorldParked) {
  HostOptions options;
  options.worlds.max_snapshot_bytes = 64;
  Server server = Start({}, options);
  Player player(server.stub.get());
  player.Send(OpenNew(3));
  player.Play({"W"});
  player.Send("control { kind: CONTROL_KIND_SNAPSHOT }");
  ExpectEnd(&player, StatusCode::RESOURCE_EXHAUSTED, "SNAPSHOT_TOO_LARGE");
  ASSERT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(30)));
  Player again(server.stub.get());
  again.Send(Resume(player.opened(), 0));
  again.Play({"A"}, 2);
  ExpectBlocks(again, 1, {Frames(3, {"W", "A"})[1]});
}

TEST_F(WorldStorageTest, AnotherTenantsSnapshotDoesNotExist) {
  Server server = Start();
  const std::string id = TakeSnapshot(server.stub.get(), "alice").snapshot_id();
  Player thief(server.stub.get(), "bob");
  thief.Send(OpenSnapshot(id));
  ExpectEnd(&thief, StatusCode::NOT_FOUND, "SNAPSHOT_NOT_FOUND");
  EXPECT_EQ(Export(*server.stub, id, "bob").error_code(), StatusCode::NOT_FOUND);
  EXPECT_TRUE(Export(*server.stub, id, "alice").ok());
}

TEST_F(WorldStorageTest, ServersThatShareAFolderShareSnapshots) {
  Server here = StartShared(), there = StartShared();
  const std::string id = TakeSnapshot(here.stub.get()).snapshot_id();
  Player copy(there.stub.get());
  copy.Send(OpenSnapshot(id));
  copy.Play({"A"}, 2);
  ExpectBlocks(copy, 1, {Frames(3, {"W", "A"})[1]});
}

TEST_F(WorldStorageTest, AServerWithOtherWeightsRefusesWhatIsShared) {
  Server here = StartShared(), retrained = StartShared({.version = "scripted-world-2"});
  const std::string id = TakeSnapshot(here.stub.get()).snapshot_id();
  const v1::WorldOpened opened = Park(here.host->worlds(), here.stub.get());
  Player copy(retrained.stub.get());
  copy.Send(OpenSnapshot(id));
  ExpectEnd(&copy, StatusCode::FAILED_PRECONDITION, "MODEL_MISMATCH");
  Player resumed(retrained.stub.get());
  resumed.Send(Resume(opened, 0));
  ExpectEnd(&resumed, StatusCode::FAILED_PRECONDITION, "MODEL_MISMATCH");
  ASSERT_TRUE(retrained.host->worlds().WaitUntilParked(absl::Seconds(30)));
  Player right(here.stub.get());  // it was put back
  right.Send(Resume(opened, 0));
  right.Play({"A"}, 2);
  ExpectBlocks(right, 1, {Frames(3, {"W", "A"})[1]});
}

// ---- Parked sessions. ----

TEST_F(WorldStorageTest, ADamagedParkedSessionIsDataLoss) {
  Server server = StartShared();
  const v1::WorldOpened opened = Park(server.host->worlds(), server.stub.get());
  ASSERT_EQ(Damage(folder_ / "parked"), 1);
  Player player(server.stub.get());
  player.Send(Resume(opened, 0));
  ExpectEnd(&player, StatusCode::DATA_LOSS, "SNAPSHOT_CORRUPTED");
  ExpectUnharmed(server);
}

TEST_F(WorldStorageTest, AParkedSessionThatNobodyResumesIsDropped) {
  HostOptions options;
  options.worlds.park_timeout = absl::Milliseconds(1);
  Server server = Start({}, options);
  const v1::WorldOpened opened = Park(server.host->worlds(), server.stub.get());
  do {
    server.host->worlds().Reap();
    ASSERT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(30)));
  } while (server.host->worlds().counts().parked > 0);
  Player late(server.stub.get());
  late.Send(Resume(opened, 0));
  ExpectEnd(&late, StatusCode::NOT_FOUND, "SESSION_NOT_FOUND");
  EXPECT_EQ(server.host->worlds().counts().parked_bytes, 0);
}

TEST_F(WorldStorageTest, OverTheRoomTheOldestParkedSessionGoes) {
  HostOptions options;
  options.worlds.max_parked_sessions = 1;
  Server server = Start({}, options);
  const v1::WorldOpened first = Park(server.host->worlds(), server.stub.get());
  const v1::WorldOpened second = Park(server.host->worlds(), server.stub.get());
  Player late(server.stub.get());
  late.Send(Resume(first, 0));
  ExpectEnd(&late, StatusCode::NOT_FOUND, "SESSION_NOT_FOUND");
  Player right(server.stub.get());
  right.Send(Resume(second, 0));
  EXPECT_GE(right.ReadUntil("opened"), 0);
}

}  // namespace
}  // namespace firstbyte

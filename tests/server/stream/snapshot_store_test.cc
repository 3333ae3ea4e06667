#include "server/stream/snapshot_store.h"

#include <csignal>
#include <fstream>

#include <sys/resource.h>

#include "server/stream/sha256.h"
#include "tests/server/stream/world_store_fixture.h"

namespace firstbyte {
namespace {

namespace fs = std::filesystem;
using absl::StatusCode;
using SnapshotStoreTest = WorldStoreTest;

TEST_F(SnapshotStoreTest, SnapshotsAreKeptByTenant) {
  for (bool folder : {false, true}) {
    if (folder) UseFolder();
    auto store = Open();
    auto saved = Save(*store, World(12), "alice");
    ASSERT_TRUE(saved.ok()) << saved.status();
    EXPECT_EQ(saved->block, 12);
    EXPECT_EQ(saved->sha256.size(), 32u);
    EXPECT_EQ(store->counts().snapshot_bytes, saved->bytes);
    EXPECT_EQ(Load(*store, saved->id, "alice")->next_block, 12);
    EXPECT_EQ(ReasonOf(Load(*store, saved->id, "bob").status()), "SNAPSHOT_NOT_FOUND");
    EXPECT_EQ(ReasonOf(Load(*store, NewUuid(), "alice").status()), "SNAPSHOT_NOT_FOUND");
  }
}

TEST_F(SnapshotStoreTest, ASnapshotSaysNothingOfTheSessionItIsOf) {
  auto store = Open();
  SavedWorld world = World(2);
  world.blocks.resize(2);
  world.blocks[0].output.block = 0;
  world.blocks[1].output.block = 1;
  world.session = SavedSession{"secret", 1, 1, absl::UnixEpoch()};
  auto saved = Save(*store, std::move(world));
  auto loaded = Load(*store, saved->id);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_FALSE(loaded->session);
  EXPECT_TRUE(loaded->blocks.empty());
}

TEST_F(SnapshotStoreTest, ExportAndImportMoveASnapshotUnchanged) {
  auto here = Open(), there = Open();
  auto saved = Save(*here, World(12));
  auto exported = Await<WorldStore::Snapshot>(
      [&](auto done) { here->ExportSnapshot("", saved->id, std::move(done)); });
  ASSERT_TRUE(exported.ok()) << exported.status();
  EXPECT_EQ(exported->info.sha256, Sha256(*exported->container));
  EXPECT_EQ(exported->info.sha256, saved->sha256);
  EXPECT_EQ(exported->info.bytes, static_cast<int64_t>(exported->container->size()));
  auto import = [&](std::string container, std::string sha256) {
    return Await<SnapshotInfo>([&](auto done) {
      there->ImportSnapshot("bob", std::move(container), std::move(sha256), std::move(done));
    });
  };
  auto imported = import(*exported->container, saved->sha256);
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(imported->sha256, saved->sha256);
  EXPECT_EQ(Load(*there, imported->id, "bob")->next_block, 12);

  for (const auto& [container, sha256] : {std::pair(*exported->container, std::string(32, 'x')),
                                          std::pair(*exported->container, std::string()),
                                          std::pair(*exported->container + "x", saved->sha256),
                                          std::pair(std::string("rubbish"), Sha256("rubbish")),
                                          std::pair(std::string(), Sha256(""))}) {
    EXPECT_EQ(import(container, sha256).status().code(), StatusCode::kDataLoss);
  }
  // A parked session's file, taken from a folder, is not a snapshot.
  SavedWorld parked = World(1);
  parked.session = SavedSession{"id", 1, 1, absl::UnixEpoch()};
  const std::string file = SerializeWorld(parked);
  EXPECT_EQ(import(file, Sha256(file)).status().code(), StatusCode::kDataLoss);
}

TEST_F(SnapshotStoreTest, MemoryKeepsTheNewestSnapshots) {
  options_.max_snapshot_bytes = 10'000;
  auto store = Open();
  auto small = Save(*store, World(1, 500), "small");
  std::vector<std::string> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(Save(*store, World(i, 3000), "large")->id);
  EXPECT_LE(store->counts().snapshot_bytes, 10'000);
  EXPECT_FALSE(Load(*store, ids.front(), "large").ok());
  EXPECT_TRUE(Load(*store, ids.back(), "large").ok());
  EXPECT_TRUE(Load(*store, small->id, "small").ok());
  EXPECT_EQ(ReasonOf(Save(*store, World(1, 20'000)).status()), "SNAPSHOT_TOO_LARGE");
}

TEST_F(SnapshotStoreTest, AFolderRefusesMoreThanItMayHold) {
  UseFolder();
  options_.max_snapshot_bytes = 10'000;
  auto store = Open();
  std::vector<std::string> ids;
  for (int i = 0; i < 2; ++i) ids.push_back(Save(*store, World(i, 4000))->id);
  auto refused = Save(*store, World(2, 4000));
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused.status()), "SNAPSHOT_DISK_FULL");
  for (const std::string& id : ids) EXPECT_TRUE(Load(*store, id).ok());
}

// Files may not grow beyond `bytes` while it lives: what a full disk looks like to a writer.
class TinyDisk {
 public:
  explicit TinyDisk(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit tiny{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &tiny);
  }
  ~TinyDisk() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_;
};

TEST_F(SnapshotStoreTest, AFullDiskRefusesTheSnapshotAndLeavesNothingBehind) {
  UseFolder();
  auto store = Open();
  auto saved = Save(*store, World(1, 4000));
  {
    TinyDisk disk(8 << 10);
    auto refused = Save(*store, World(2, 100'000));
    EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonOf(refused.status()), "SNAPSHOT_DISK_FULL");
  }
  EXPECT_EQ(Load(*store, saved->id)->next_block, 1);
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder_))
    files += entry.is_regular_file();
  EXPECT_EQ(files, 1);
  EXPECT_TRUE(Save(*store, World(2, 100'000)).ok());
}

TEST_F(SnapshotStoreTest, OnAFullDiskSessionsAreParkedInMemory) {
  UseFolder();
  auto store = Open();
  std::pair<std::string, std::string> names;
  {
    TinyDisk disk(8 << 10);
    names = Parked(*store, "", 100'000);
  }
  EXPECT_GT(store->counts().parked_bytes, 100'000);
  EXPECT_TRUE(Resume(*store, names.first, names.second).ok());
}

TEST_F(SnapshotStoreTest, ADamagedSnapshotIsDataLoss) {
  UseFolder();
  auto store = Open();
  auto saved = Save(*store, World(1, 4000));
  const fs::path file =
      fs::directory_iterator(fs::directory_iterator(folder_ / "snapshots")->path())->path();
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).seekp(2000).put('!');
  auto loaded = Load(*store, saved->id);
  EXPECT_EQ(loaded.status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(ReasonOf(loaded.status()), "SNAPSHOT_CORRUPTED");
}

}  // namespace
}  // namespace firstbyte

// Servers that share a folder.
#include "server/stream/world_files.h"

#include <fstream>

#include "tests/server/stream/world_store_fixture.h"

namespace firstbyte {
namespace {

namespace fs = std::filesystem;
using absl::StatusCode;
using WorldFilesTest = WorldStoreTest;

TEST_F(WorldFilesTest, AnotherServerGoesOnWithAParkedSession) {
  UseFolder();
  auto here = Open(), there = Open();
  auto [id, token] = Parked(*here, "alice", 5000);
  EXPECT_EQ(here->counts().parked_bytes, 0);
  EXPECT_EQ(Get(*there, id, "alice")->state, WorldSessionState::kParked);
  EXPECT_EQ(Get(*there, id, "alice")->state_bytes, 5000);
  EXPECT_EQ(List(*there, "alice").size(), 1u);
  EXPECT_TRUE(List(*there, "bob").empty());
  auto claimed = Resume(*there, id, token, "alice");
  ASSERT_TRUE(claimed.ok()) << claimed.status();
  EXPECT_EQ(claimed->world.state->size(), 5000u);
  EXPECT_EQ(claimed->world.next_block, 5);
  claimed->hold.Confirm();
  const std::string newer = claimed->hold.token();
  EXPECT_EQ(Resume(*here, id, token, "alice").status().code(), StatusCode::kNotFound);

  // And back, under the fencing generation of the last claim.
  ASSERT_TRUE(Park(*there, std::move(claimed->hold), World(8)).ok());
  EXPECT_EQ(ReasonOf(Resume(*here, id, token, "alice").status()), "TOKEN_SUPERSEDED");
  claimed = Resume(*here, id, newer, "alice");
  ASSERT_TRUE(claimed.ok()) << claimed.status();
  EXPECT_EQ(claimed->world.next_block, 8);
}

TEST_F(WorldFilesTest, OfTwoServersOneClaims) {
  UseFolder();
  auto here = Open(), there = Open();
  for (int round = 0; round < 50; ++round) {
    auto [id, token] = Parked(*here);
    std::promise<bool> a, b;
    std::vector<WorldHold> holds(2);
    auto resume = [&, id = id, token = token](WorldStore& store, WorldHold* hold,
                                              std::promise<bool>* won) {
      store.Resume({"", id, token, holder_}, [hold, won](auto claimed) {
        if (claimed.ok()) *hold = std::move(claimed->hold);
        won->set_value(claimed.ok());
      });
    };
    resume(*here, &holds[0], &a);
    resume(*there, &holds[1], &b);
    EXPECT_EQ(a.get_future().get() + b.get_future().get(), 1);
  }
  EXPECT_TRUE(
      fs::is_empty(folder_ / "parked" / fs::directory_iterator(folder_ / "parked")->path()));
}

TEST_F(WorldFilesTest, ABadTokenDoesNotTouchTheFile) {
  UseFolder();
  auto here = Open(), there = Open();
  auto [id, token] = Parked(*here, "alice");
  EXPECT_EQ(ReasonOf(Resume(*there, id, "1.forged", "alice").status()), "TOKEN_INVALID");
  EXPECT_EQ(ReasonOf(Resume(*there, id, token, "bob").status()), "SESSION_NOT_FOUND");
  EXPECT_EQ(Delete(*there, id, "bob").code(), StatusCode::kNotFound);
  EXPECT_TRUE(Resume(*there, id, token, "alice").ok());
}

TEST_F(WorldFilesTest, AServerWithAnotherSecretCannotClaim) {
  UseFolder();
  auto here = Open();
  options_.token_secret = "another secret";
  auto there = Open();
  auto [id, token] = Parked(*here);
  EXPECT_EQ(ReasonOf(Resume(*there, id, token).status()), "TOKEN_INVALID");
}

TEST_F(WorldFilesTest, AParkedFileSurvivesTheServerAndExpires) {
  UseFolder();
  auto [id, token] = Parked(*Open());
  EXPECT_TRUE(Get(*Open(), id).ok());
  options_.park_timeout = absl::ZeroDuration();
  auto strict = Open();
  EXPECT_EQ(Resume(*strict, id, token).status().code(), StatusCode::kNotFound);
  strict->Reap();
  Get(*strict, id).status().IgnoreError();
  options_.park_timeout = absl::Minutes(10);
  EXPECT_EQ(Get(*Open(), id).status().code(), StatusCode::kNotFound);
}

TEST_F(WorldFilesTest, DeletesAFileOfAnotherServer) {
  UseFolder();
  auto here = Open(), there = Open();
  auto [id, token] = Parked(*here);
  EXPECT_TRUE(Delete(*there, id).ok());
  EXPECT_EQ(Resume(*here, id, token).status().code(), StatusCode::kNotFound);
}

TEST_F(WorldFilesTest, ADamagedFileIsDataLoss) {
  UseFolder();
  auto store = Open();
  auto [id, token] = Parked(*store, "", 5000);
  const fs::path file =
      fs::directory_iterator(fs::directory_iterator(folder_ / "parked")->path())->path();
  fs::resize_file(file, fs::file_size(file) - 1000);
  auto claimed = Resume(*store, id, token);
  EXPECT_EQ(claimed.status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(store->counts().running, 0);
}

TEST_F(WorldFilesTest, PathsCannotBeSmuggledIn) {
  UseFolder();
  auto store = Open();
  for (const std::string& id :
       {std::string(), std::string("../../etc/passwd"), std::string("."), std::string(36, '/'),
        std::string("00000000-0000-0000-0000-00000000000/"), std::string(1 << 16, 'a'),
        std::string("00000000-0000-0000-0000-0000000000\0x", 36)}) {
    EXPECT_EQ(Get(*store, id).status().code(), StatusCode::kNotFound);
    EXPECT_EQ(Delete(*store, id).code(), StatusCode::kNotFound);
    EXPECT_EQ(Resume(*store, id, "").status().code(), StatusCode::kNotFound);
    EXPECT_EQ(Load(*store, id).status().code(), StatusCode::kNotFound);
  }
}

TEST_F(WorldFilesTest, AFolderThatCannotBeUsedIsRefusedAtOnce) {
  fs::create_directories(folder_);
  std::ofstream(folder_ / "file") << "x";
  options_.snapshot_dir = (folder_ / "file").string();
  EXPECT_EQ(WorldStore::Create(options_).status().code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace firstbyte

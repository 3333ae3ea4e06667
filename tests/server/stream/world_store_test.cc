#include "server/stream/world_store.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>

#include <sys/resource.h>

#include "base/error.h"
#include "base/ids.h"
#include "gtest/gtest.h"
#include "server/stream/sha256.h"

namespace firstbyte {
namespace {

namespace fs = std::filesystem;
using absl::StatusCode;

// Runs a call that answers through a Done, and waits for the answer.
template <typename T, typename Call>
absl::StatusOr<T> Await(Call call) {
  std::promise<absl::StatusOr<T>> answer;
  call([&](absl::StatusOr<T> result) { answer.set_value(std::move(result)); });
  return answer.get_future().get();
}

struct Holder : WorldHolder {
  void TakenOver() override {
    ++taken_over;
    if (on_taken_over) on_taken_over();
  }
  void Deleted() override { ++deleted; }
  void Draining(absl::Duration remaining) override { draining = remaining; }

  std::atomic<int> taken_over{0}, deleted{0};
  std::optional<absl::Duration> draining;
  std::function<void()> on_taken_over;
};

std::string ReasonOf(const absl::Status& status) { return DetailOf(status).reason; }

SavedWorld World(int64_t next_block, size_t bytes = 100) {
  return {.model = "maze",
          .version = "v1",
          .next_block = next_block,
          .state = std::make_shared<const std::string>(bytes, 's')};
}

class WorldStoreTest : public testing::Test {
 protected:
  WorldStoreTest() : folder_(fs::temp_directory_path() / ("world_store_test." + NewUuid())) {
    options_.clock = &clock_;
    info_.name = "maze";
    info_.world = WorldInfo{.state_bytes = 100};
  }
  ~WorldStoreTest() override { fs::remove_all(folder_); }

  // A store of its own for each call: with a folder they are servers that share it.
  std::unique_ptr<WorldStore> Open() {
    auto store = WorldStore::Create(options_);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  void UseFolder() {
    options_.snapshot_dir = folder_.string();
    options_.token_secret = "a secret that two servers share";
  }

  WorldHold Register(WorldStore& store, const std::string& tenant = "") {
    return store.Register(tenant, info_, holder_);
  }
  absl::Status Park(WorldStore& store, WorldHold hold, SavedWorld world) {
    auto parked = Await<int>([&](auto done) {
      store.Park(std::move(hold), std::move(world), [done](absl::Status status) {
        done(status.ok() ? absl::StatusOr<int>(0) : status);
      });
    });
    return parked.status();
  }
  absl::StatusOr<WorldStore::Claimed> Resume(WorldStore& store, const std::string& id,
                                             const std::string& token,
                                             const std::string& tenant = "") {
    return Await<WorldStore::Claimed>([&](auto done) {
      store.Resume({tenant, id, token, holder_}, std::move(done));
    });
  }
  absl::StatusOr<WorldSessionInfo> Get(WorldStore& store, const std::string& id,
                                       const std::string& tenant = "") {
    return Await<WorldSessionInfo>([&](auto done) { store.Get(tenant, id, std::move(done)); });
  }
  std::vector<WorldSessionInfo> List(WorldStore& store, const std::string& tenant = "") {
    return *Await<std::vector<WorldSessionInfo>>(
        [&](auto done) { store.List(tenant, std::move(done)); });
  }
  absl::Status Delete(WorldStore& store, const std::string& id, const std::string& tenant = "") {
    auto deleted = Await<int>([&](auto done) {
      store.Delete(tenant, id, [done](absl::Status status) {
        done(status.ok() ? absl::StatusOr<int>(0) : status);
      });
    });
    return deleted.status();
  }
  absl::StatusOr<SnapshotInfo> Save(WorldStore& store, SavedWorld world,
                                    const std::string& tenant = "") {
    return Await<SnapshotInfo>(
        [&](auto done) { store.SaveSnapshot(tenant, std::move(world), std::move(done)); });
  }
  absl::StatusOr<SavedWorld> Load(WorldStore& store, const std::string& id,
                                  const std::string& tenant = "") {
    return Await<SavedWorld>([&](auto done) { store.LoadSnapshot(tenant, id, std::move(done)); });
  }

  // A parked session: its id and token.
  std::pair<std::string, std::string> Parked(WorldStore& store, const std::string& tenant = "",
                                             size_t bytes = 100) {
    WorldHold hold = Register(store, tenant);
    std::pair<std::string, std::string> names(hold.session_id(), hold.token());
    EXPECT_TRUE(Park(store, std::move(hold), World(5, bytes)).ok());
    return names;
  }

  FakeClock clock_;
  WorldStoreOptions options_;
  ModelInfo info_;
  const fs::path folder_;
  std::shared_ptr<Holder> holder_ = std::make_shared<Holder>();
};

// ---- Sessions. ----

TEST_F(WorldStoreTest, ASessionRunsPausesParksAndGoesOn) {
  auto store = Open();
  WorldHold hold = Register(*store);
  const std::string id = hold.session_id(), token = hold.token();
  hold.Update(/*paused=*/false, 3);
  EXPECT_EQ(Get(*store, id)->state, WorldSessionState::kRunning);
  EXPECT_EQ(Get(*store, id)->next_block, 3);
  hold.Update(/*paused=*/true, 4);
  EXPECT_EQ(Get(*store, id)->state, WorldSessionState::kPaused);
  ASSERT_TRUE(Park(*store, std::move(hold), World(5)).ok());
  const WorldSessionInfo parked = *Get(*store, id);
  EXPECT_EQ(parked.state, WorldSessionState::kParked);
  EXPECT_EQ(parked.next_block, 5);
  EXPECT_LE(parked.expire_time - absl::Now(), options_.park_timeout);
  EXPECT_EQ(store->counts().parked, 1);

  auto claimed = Resume(*store, id, token);
  ASSERT_TRUE(claimed.ok()) << claimed.status();
  EXPECT_EQ(claimed->hold.session_id(), id);
  EXPECT_NE(claimed->hold.token(), token);
  EXPECT_EQ(claimed->world.next_block, 5);
  EXPECT_FALSE(claimed->world.session);
  EXPECT_EQ(store->counts().running, 1);
  EXPECT_EQ(store->counts().parked, 0);
  EXPECT_EQ(store->counts().parked_bytes, 0);
}

TEST_F(WorldStoreTest, AHoldThatIsDroppedEndsTheSession) {
  auto store = Open();
  WorldHold hold = Register(*store);
  const std::string id = hold.session_id(), token = hold.token();
  hold = WorldHold();
  EXPECT_EQ(Get(*store, id).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Resume(*store, id, token).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(store->counts().running, 0);
}

TEST_F(WorldStoreTest, ANewTokenSupersedesTheOldOneWhenItHasArrived) {
  auto store = Open();
  auto [id, first] = Parked(*store);
  auto claimed = Resume(*store, id, first);
  claimed->hold.Confirm();
  const std::string second = claimed->hold.token();
  ASSERT_TRUE(Park(*store, std::move(claimed->hold), World(6)).ok());
  auto stale = Resume(*store, id, first);
  EXPECT_EQ(stale.status().code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(ReasonOf(stale.status()), "TOKEN_SUPERSEDED");
  EXPECT_TRUE(Resume(*store, id, second).ok());
}

TEST_F(WorldStoreTest, AReplyThatGotLostLocksNobodyOut) {
  auto store = Open();
  auto [id, first] = Parked(*store);
  auto claimed = Resume(*store, id, first);
  const std::string second = claimed->hold.token();
  ASSERT_TRUE(Park(*store, std::move(claimed->hold), World(6)).ok());  // nobody confirmed `second`
  claimed = Resume(*store, id, first);
  ASSERT_TRUE(claimed.ok()) << claimed.status();
  ASSERT_TRUE(Park(*store, std::move(claimed->hold), World(7)).ok());
  EXPECT_TRUE(Resume(*store, id, second).ok());  // it may have arrived after all
}

TEST_F(WorldStoreTest, OfTwoWhoRaceToResumeOneWins) {
  auto store = Open();
  auto [id, token] = Parked(*store);
  auto winner = Resume(*store, id, token);
  ASSERT_TRUE(winner.ok());
  auto loser = Resume(*store, id, token);
  EXPECT_EQ(loser.status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(loser.status()), "SESSION_BUSY");
  EXPECT_TRUE(DetailOf(loser.status()).retry_after);
  winner->hold.Confirm();
  EXPECT_EQ(ReasonOf(Resume(*store, id, token).status()), "TOKEN_SUPERSEDED");
  EXPECT_EQ(holder_->taken_over, 0);
}

TEST_F(WorldStoreTest, AnotherTenantsSessionDoesNotExist) {
  auto store = Open();
  auto [id, token] = Parked(*store, "alice");
  const absl::Status none = Resume(*store, NewUuid(), token, "bob").status();
  for (const absl::Status& status :
       {Resume(*store, id, token, "bob").status(), Resume(*store, id, "1.x", "bob").status(),
        Get(*store, id, "bob").status(), Delete(*store, id, "bob")}) {
    EXPECT_EQ(status, none);
    EXPECT_EQ(ReasonOf(status), "SESSION_NOT_FOUND");
  }
  EXPECT_TRUE(List(*store, "bob").empty());
  EXPECT_TRUE(Resume(*store, id, token, "alice").ok());
}

TEST_F(WorldStoreTest, AWrongTokenOpensNothing) {
  auto store = Open();
  auto [id, token] = Parked(*store);
  auto [other, other_token] = Parked(*store);
  for (const std::string& wrong : {std::string(), other_token, "2" + token.substr(1)}) {
    auto denied = Resume(*store, id, wrong);
    EXPECT_EQ(denied.status().code(), StatusCode::kPermissionDenied);
    EXPECT_EQ(ReasonOf(denied.status()), "TOKEN_INVALID");
  }
  EXPECT_TRUE(Resume(*store, id, token).ok());
}

TEST_F(WorldStoreTest, AValidTokenTakesOverAStreamThatIsStillThere) {
  auto store = Open();
  WorldHold old = Register(*store);
  const std::string id = old.session_id(), token = old.token();
  absl::Status old_parked = absl::UnknownError("");
  holder_->on_taken_over = [&] {
    store->Park(std::move(old), World(9), [&](absl::Status status) { old_parked = status; });
  };
  auto claimed = Resume(*store, id, token);
  ASSERT_TRUE(claimed.ok()) << claimed.status();
  EXPECT_EQ(claimed->world.next_block, 9);
  EXPECT_EQ(holder_->taken_over, 1);
  EXPECT_EQ(store->counts().running, 1);
  Get(*store, id).status().IgnoreError();  // after what was under way
  EXPECT_TRUE(old_parked.ok());
  EXPECT_EQ(ReasonOf(Resume(*store, id, token).status()), "SESSION_BUSY");
}

TEST_F(WorldStoreTest, WhoWaitsForASessionThatEndsIsTold) {
  auto store = Open();
  WorldHold old = Register(*store);
  holder_->on_taken_over = [&] { old = WorldHold(); };
  auto claimed = Resume(*store, old.session_id(), old.token());
  EXPECT_EQ(claimed.status().code(), StatusCode::kNotFound);
}

TEST_F(WorldStoreTest, WhoWaitsForAStreamThatHangsIsToldToRetry) {
  auto store = Open();
  WorldHold old = Register(*store);
  holder_->on_taken_over = [&] {
    clock_.Advance(absl::Seconds(6));
    store->Reap();
  };
  auto claimed = Resume(*store, old.session_id(), old.token());
  EXPECT_EQ(ReasonOf(claimed.status()), "SESSION_BUSY");
  EXPECT_TRUE(Park(*store, std::move(old), World(1)).ok());
}

TEST_F(WorldStoreTest, ANewcomerWhoLeftWhileWaitingLosesNothing) {
  auto store = Open();
  WorldHold old = Register(*store);
  const std::string id = old.session_id(), token = old.token();
  auto newcomer = std::make_shared<Holder>();
  std::promise<absl::StatusCode> told;
  store->Resume({"", id, token, newcomer},
                [&](auto claimed) { told.set_value(claimed.status().code()); });
  newcomer.reset();
  ASSERT_TRUE(Park(*store, std::move(old), World(4)).ok());
  EXPECT_EQ(told.get_future().get(), StatusCode::kNotFound);
  EXPECT_TRUE(Resume(*store, id, token).ok());
}

TEST_F(WorldStoreTest, ListsTheOldestFirst) {
  auto store = Open();
  std::vector<std::string> ids;
  std::vector<WorldHold> holds;
  for (int i = 0; i < 5; ++i) {
    holds.push_back(Register(*store));
    ids.push_back(holds.back().session_id());
  }
  ASSERT_TRUE(Park(*store, std::move(holds[2]), World(1)).ok());
  std::vector<std::string> listed;
  for (const auto& info : List(*store)) listed.push_back(info.session_id);
  EXPECT_EQ(listed, ids);
}

TEST_F(WorldStoreTest, DeletesRunningAndParkedSessions) {
  auto store = Open();
  auto [parked, token] = Parked(*store);
  EXPECT_TRUE(Delete(*store, parked).ok());
  EXPECT_EQ(Resume(*store, parked, token).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(store->counts().parked_bytes, 0);

  WorldHold hold = Register(*store);
  const std::string running = hold.session_id();
  EXPECT_TRUE(Delete(*store, running).ok());
  EXPECT_EQ(holder_->deleted, 1);
  EXPECT_EQ(Delete(*store, running).code(), StatusCode::kNotFound);
  // The stream hears of it while it parks.
  EXPECT_EQ(Park(*store, std::move(hold), World(1)).code(), StatusCode::kNotFound);
  EXPECT_TRUE(List(*store).empty());
  EXPECT_EQ(store->counts().parked, 0);
}

TEST_F(WorldStoreTest, ParkedSessionsExpire) {
  auto store = Open();
  auto [id, token] = Parked(*store);
  clock_.Advance(absl::Minutes(6));
  auto [later, later_token] = Parked(*store);
  clock_.Advance(absl::Minutes(4));
  store->Reap();
  EXPECT_EQ(Resume(*store, id, token).status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(Resume(*store, later, later_token).ok());
  EXPECT_EQ(store->counts().parked_bytes, 0);
}

TEST_F(WorldStoreTest, ARunningSessionDoesNotExpire) {
  auto store = Open();
  WorldHold hold = Register(*store);
  clock_.Advance(absl::Hours(10));
  store->Reap();
  EXPECT_TRUE(Get(*store, hold.session_id()).ok());
}

TEST_F(WorldStoreTest, OverTheRoomTheOldestOfTheLargestTenantGoes) {
  options_.max_parked_bytes = 10'000;
  auto store = Open();
  auto [small, small_token] = Parked(*store, "small", 1000);
  auto [first, first_token] = Parked(*store, "large", 4000);
  auto [second, second_token] = Parked(*store, "large", 4000);
  EXPECT_EQ(Resume(*store, first, first_token, "large").status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(Resume(*store, second, second_token, "large").ok());
  EXPECT_TRUE(Resume(*store, small, small_token, "small").ok());

  WorldHold hold = Register(*store);
  const absl::Status giant = Park(*store, std::move(hold), World(1, 20'000));
  EXPECT_EQ(giant.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(giant), "PARKING_FULL");
  EXPECT_EQ(store->counts().parked_bytes, 0);
}

TEST_F(WorldStoreTest, TheNumberOfParkedSessionsIsBounded) {
  options_.max_parked_sessions = 3;
  auto store = Open();
  for (int i = 0; i < 5; ++i) Parked(*store);
  EXPECT_EQ(store->counts().parked, 3);
  EXPECT_EQ(List(*store).size(), 3u);
}

TEST_F(WorldStoreTest, HoldersHearOfADrainEvenWhenTheyComeLate) {
  auto store = Open();
  WorldHold hold = Register(*store);
  store->Drain(absl::Seconds(7));
  Get(*store, hold.session_id()).status().IgnoreError();
  EXPECT_EQ(holder_->draining, absl::Seconds(7));
  auto late = std::make_shared<Holder>();
  WorldHold late_hold = store->Register("", info_, late);
  Get(*store, hold.session_id()).status().IgnoreError();
  EXPECT_EQ(late->draining, absl::Seconds(7));
  EXPECT_FALSE(store->WaitUntilParked(absl::ZeroDuration()));
  late_hold = WorldHold();
  store->Park(std::move(hold), World(1), [](absl::Status) {});
  EXPECT_TRUE(store->WaitUntilParked(absl::Seconds(30)));
  EXPECT_EQ(store->counts().parked, 1);
}

// ---- Two servers that share a folder. ----

TEST_F(WorldStoreTest, AnotherServerGoesOnWithAParkedSession) {
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

TEST_F(WorldStoreTest, OfTwoServersOneClaims) {
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

TEST_F(WorldStoreTest, ABadTokenDoesNotTouchTheFile) {
  UseFolder();
  auto here = Open(), there = Open();
  auto [id, token] = Parked(*here, "alice");
  EXPECT_EQ(ReasonOf(Resume(*there, id, "1.forged", "alice").status()), "TOKEN_INVALID");
  EXPECT_EQ(ReasonOf(Resume(*there, id, token, "bob").status()), "SESSION_NOT_FOUND");
  EXPECT_EQ(Delete(*there, id, "bob").code(), StatusCode::kNotFound);
  EXPECT_TRUE(Resume(*there, id, token, "alice").ok());
}

TEST_F(WorldStoreTest, AServerWithAnotherSecretCannotClaim) {
  UseFolder();
  auto here = Open();
  options_.token_secret = "another secret";
  auto there = Open();
  auto [id, token] = Parked(*here);
  EXPECT_EQ(ReasonOf(Resume(*there, id, token).status()), "TOKEN_INVALID");
}

TEST_F(WorldStoreTest, AParkedFileSurvivesTheServerAndExpires) {
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

TEST_F(WorldStoreTest, DeletesAFileOfAnotherServer) {
  UseFolder();
  auto here = Open(), there = Open();
  auto [id, token] = Parked(*here);
  EXPECT_TRUE(Delete(*there, id).ok());
  EXPECT_EQ(Resume(*here, id, token).status().code(), StatusCode::kNotFound);
}

TEST_F(WorldStoreTest, ADamagedFileIsDataLoss) {
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

TEST_F(WorldStoreTest, PathsCannotBeSmuggledIn) {
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

TEST_F(WorldStoreTest, AFolderThatCannotBeUsedIsRefusedAtOnce) {
  fs::create_directories(folder_);
  std::ofstream(folder_ / "file") << "x";
  options_.snapshot_dir = (folder_ / "file").string();
  EXPECT_EQ(WorldStore::Create(options_).status().code(), StatusCode::kFailedPrecondition);
}

// ---- Snapshots. ----

TEST_F(WorldStoreTest, SnapshotsAreKeptByTenant) {
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

TEST_F(WorldStoreTest, ASnapshotSaysNothingOfTheSessionItIsOf) {
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

TEST_F(WorldStoreTest, ExportAndImportMoveASnapshotUnchanged) {
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

TEST_F(WorldStoreTest, MemoryKeepsTheNewestSnapshots) {
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

TEST_F(WorldStoreTest, AFolderRefusesMoreThanItMayHold) {
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

TEST_F(WorldStoreTest, AFullDiskRefusesTheSnapshotAndLeavesNothingBehind) {
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

TEST_F(WorldStoreTest, OnAFullDiskSessionsAreParkedInMemory) {
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

TEST_F(WorldStoreTest, ADamagedSnapshotIsDataLoss) {
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

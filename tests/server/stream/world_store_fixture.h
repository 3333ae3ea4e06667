// World stores in the tests: calls that answer later are waited for, time stands still.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "gtest/gtest.h"
#include "server/stream/world_store.h"

namespace firstbyte {

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

inline std::string ReasonOf(const absl::Status& status) { return DetailOf(status).reason; }

inline SavedWorld World(int64_t next_block, size_t bytes = 100) {
  return {.model = "maze",
          .version = "v1",
          .next_block = next_block,
          .state = std::make_shared<const std::string>(bytes, 's')};
}

class WorldStoreTest : public testing::Test {
 protected:
  WorldStoreTest()
      : folder_(std::filesystem::temp_directory_path() / ("world_store_test." + NewUuid())) {
    options_.clock = &clock_;
    info_.name = "maze";
    info_.world = WorldInfo{.state_bytes = 100};
  }
  ~WorldStoreTest() override { std::filesystem::remove_all(folder_); }

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
  const std::filesystem::path folder_;
  std::shared_ptr<Holder> holder_ = std::make_shared<Holder>();
};

}  // namespace firstbyte

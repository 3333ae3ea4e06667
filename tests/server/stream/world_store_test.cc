#include "server/stream/world_store.h"

#include "tests/server/stream/world_store_fixture.h"

namespace firstbyte {
namespace {

using absl::StatusCode;

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

}  // namespace
}  // namespace firstbyte

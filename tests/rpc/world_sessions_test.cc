// Sessions that outlive their stream: resumed, listed, deleted, moved between servers.
#include <algorithm>
#include <thread>

#include "tests/rpc/world_fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;

template <typename Request, typename Response, typename Call>
grpc::Status Ask(Call call, const std::string& tenant, const Request& request, Response* response) {
  grpc::ClientContext context;
  if (!tenant.empty()) context.AddMetadata("x-tenant", tenant);
  grpc::Status status = call(&context, request, response);
  EXPECT_EQ(context.GetServerTrailingMetadata().count("x-request-id"), 1u);
  return status;
}

grpc::Status GetSession(v1::WorldService::Stub& stub, const std::string& id,
                        v1::WorldSession* session, const std::string& tenant = "") {
  v1::GetSessionRequest request;
  request.set_session_id(id);
  v1::GetSessionResponse response;
  grpc::Status status =
      Ask([&](auto... args) { return stub.GetSession(args...); }, tenant, request, &response);
  if (session) *session = response.session();
  return status;
}

grpc::Status DeleteSession(v1::WorldService::Stub& stub, const std::string& id,
                           const std::string& tenant = "") {
  v1::DeleteSessionRequest request;
  request.set_session_id(id);
  v1::DeleteSessionResponse response;
  return Ask([&](auto... args) { return stub.DeleteSession(args...); }, tenant, request, &response);
}

v1::ListSessionsResponse ListSessions(v1::WorldService::Stub& stub, int page_size = 0,
                                      const std::string& page_token = "",
                                      const std::string& tenant = "") {
  v1::ListSessionsRequest request;
  request.set_page_size(page_size);
  request.set_page_token(page_token);
  v1::ListSessionsResponse response;
  grpc::Status status =
      Ask([&](auto... args) { return stub.ListSessions(args...); }, tenant, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

using WorldSessionsTest = WorldTest;

// ---- Sessions that go on. ----

TEST_F(WorldSessionsTest, ABrokenStreamIsResumedWithoutAFrameLostOrRepeated) {
  Server server = Start();
  auto whole = Frames(9, {"W", "A", "S", "D"});
  v1::WorldOpened opened;
  {
    Player player(server.stub.get());
    player.Send(OpenNew(9));
    player.Play({"W", "A"});
    opened = player.opened();
    player.Cancel();
    player.Finish();
  }
  server.host->live_calls().WaitUntilNone();
  // The player says that it never got block 1.
  Player again(server.stub.get());
  again.Send(Resume(opened, 0));
  again.Play({}, 0);
  again.ReadBlocks(1);
  EXPECT_EQ(again.opened().session_id(), opened.session_id());
  EXPECT_NE(again.opened().token(), opened.token());
  EXPECT_EQ(again.opened().next_block(), 2);
  again.Play({"S", "D"}, 3);
  ExpectBlocks(again, 1, {whole[1], whole[2], whole[3]});
}

TEST_F(WorldSessionsTest, AParkedSessionHoldsNoSlotAndCanBeListedAndDeleted) {
  Server server = Start();
  v1::WorldOpened opened;
  v1::WorldSession session;
  {
    Player player(server.stub.get(), "alice");
    player.Send(OpenNew(9));
    player.Play({"W"});
    opened = player.opened();
    ASSERT_TRUE(GetSession(*server.stub, opened.session_id(), &session, "alice").ok());
    EXPECT_EQ(session.state(), v1::SESSION_STATE_RUNNING);
    EXPECT_EQ(session.model(), "scripted-world");
    EXPECT_FALSE(session.has_expire_time());
  }
  ASSERT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(30)));
  EXPECT_EQ(server.host->engine().admission().usage(1).used, 0);
  ASSERT_TRUE(GetSession(*server.stub, opened.session_id(), &session, "alice").ok());
  EXPECT_EQ(session.state(), v1::SESSION_STATE_PARKED);
  EXPECT_EQ(session.next_block(), 1);
  EXPECT_GT(session.expire_time().seconds(), session.open_time().seconds());
  EXPECT_EQ(ListSessions(*server.stub, 0, "", "alice").sessions_size(), 1);

  EXPECT_EQ(ListSessions(*server.stub, 0, "", "bob").sessions_size(), 0);
  for (const grpc::Status& status : {GetSession(*server.stub, opened.session_id(), nullptr, "bob"),
                                     DeleteSession(*server.stub, opened.session_id(), "bob")}) {
    EXPECT_EQ(status.error_code(), StatusCode::NOT_FOUND);
    EXPECT_EQ(ErrorInfoOf(status).reason(), "SESSION_NOT_FOUND");
  }
  EXPECT_TRUE(DeleteSession(*server.stub, opened.session_id(), "alice").ok());
  EXPECT_EQ(GetSession(*server.stub, opened.session_id(), nullptr, "alice").error_code(),
            StatusCode::NOT_FOUND);
  ExpectUnharmed(server);
}

TEST_F(WorldSessionsTest, ARunningSessionThatIsDeletedEndsItsStream) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(OpenNew(1));
  player.Play({"W"});
  ASSERT_TRUE(DeleteSession(*server.stub, player.opened().session_id()).ok());
  EXPECT_EQ(player.Finish().error_code(), StatusCode::ABORTED);
  EXPECT_EQ(ErrorInfoOf(player.Finish()).reason(), "SESSION_DELETED");
  ExpectUnharmed(server);
  EXPECT_EQ(ListSessions(*server.stub).sessions_size(), 0);
}

TEST_F(WorldSessionsTest, SessionsAreListedInPages) {
  Server server = Start();
  std::vector<std::unique_ptr<Player>> players;
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) {
    players.push_back(std::make_unique<Player>(server.stub.get()));
    players.back()->Send(OpenNew(1));
    players.back()->ReadUntil("opened");
    ids.push_back(players.back()->opened().session_id());
  }
  std::vector<std::string> listed;
  std::string token;
  int pages = 0;
  do {
    const v1::ListSessionsResponse page = ListSessions(*server.stub, 2, token);
    for (const auto& session : page.sessions()) listed.push_back(session.session_id());
    token = page.next_page_token();
    ++pages;
  } while (!token.empty() && pages < 10);
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(listed, ids);
}

TEST_F(WorldSessionsTest, ATokenTakesTheSessionFromAStreamThatStillRuns) {
  Server server = Start();
  Player old(server.stub.get());
  old.Send(OpenNew(4));
  old.Play({"W"});
  Player newcomer(server.stub.get());
  newcomer.Send(Resume(old.opened(), 0));
  newcomer.Play({"A"}, 2);
  ExpectBlocks(newcomer, 1, {Frames(4, {"W", "A"})[1]});
  EXPECT_EQ(old.Finish().error_code(), StatusCode::ABORTED);
  EXPECT_EQ(ErrorInfoOf(old.Finish()).reason(), "SESSION_TAKEN_OVER");
}

TEST_F(WorldSessionsTest, BlocksAndSessionsShowUpInTheMetrics) {
  Server server = Start({}, {.metrics_listen = "127.0.0.1:0"});
  Player player(server.stub.get());
  player.Send(OpenNew(4));
  player.Play({"W", "A"});
  const std::string running = MetricsPage(*server.host);
  EXPECT_EQ(Value(running, R"(firstbyte_world_sessions{state="running"})"), 1);
  EXPECT_EQ(Value(running, R"(firstbyte_slots_used{model="scripted-world"})"), 1);
  EXPECT_EQ(Value(running, R"(firstbyte_blocks_total{model="scripted-world"})"), 2);
  EXPECT_EQ(Value(running, R"(firstbyte_frames_total{model="scripted-world"})"), 4);
  EXPECT_EQ(Value(running, R"(firstbyte_action_to_frame_seconds_count{model="scripted-world"})"),
            2);
  player.Cancel();
  player.Finish();
  server.host->live_calls().WaitUntilNone();
  ASSERT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(30)));
  const std::string parked = MetricsPage(*server.host);
  EXPECT_EQ(Value(parked, R"(firstbyte_world_sessions{state="running"})"), 0);
  EXPECT_EQ(Value(parked, R"(firstbyte_world_sessions{state="parked"})"), 1);
  EXPECT_GT(Value(parked, R"(firstbyte_world_store_bytes{kind="parked"})"), 0);
  const std::string request = R"({method="StepWorld",model="scripted-world"})";
  EXPECT_EQ(Value(parked, "firstbyte_streams_in_flight" + request), 0);
  EXPECT_EQ(Value(parked, "firstbyte_request_ttfb_seconds_count" + request), 1);
  EXPECT_EQ(Value(parked, R"(firstbyte_slots_used{model="scripted-world"})"), 0);
  EXPECT_EQ(Value(parked, "firstbyte_outbox_bytes"), 0);
}

// ---- Two servers. ----

TEST_F(WorldSessionsTest, ALiveWorldMovesBetweenServersWithoutAFrameLostOrRepeated) {
  Server here = StartShared(), there = StartShared();
  const std::vector<std::string> keys = {"W", "A", "", "D", "SPACE", "S", "W"};
  const auto whole = Frames(11, keys);
  Player first(here.stub.get(), "alice");
  first.Send(OpenNew(11));
  first.Play({keys[0], keys[1], keys[2]});
  ExpectBlocks(first, 0, {whole[0], whole[1], whole[2]});

  // The first server goes away: its player is told, and the session waits in the folder.
  std::thread drain([&] { here.host->Drain(absl::ZeroDuration(), absl::Seconds(30)); });
  ASSERT_TRUE(first.Finish().ok()) << first.Finish().error_message();
  drain.join();
  EXPECT_EQ(first.last().summary().end_reason(), v1::WORLD_END_REASON_DRAINED);
  EXPECT_TRUE(std::any_of(first.responses().begin(), first.responses().end(), [](const auto& r) {
    return r.notice().kind() == v1::NOTICE_KIND_DRAINING;
  }));
  ExpectBlocks(first, 0, {whole[0], whole[1], whole[2]});

  Player second(there.stub.get(), "alice");
  second.Send(Resume(first.opened(), 2));
  second.Play({keys[3], keys[4]}, 4);
  ExpectBlocks(second, 3, {whole[3], whole[4]});
  EXPECT_EQ(second.opened().seed(), 11u);
  EXPECT_EQ(second.opened().last_action_sequence(), 3);
  EXPECT_EQ(second.blocks()[0].presentation_offset().nanos(), 300'000'000);

  // And on to a third, this time because the connection broke; the player missed a block.
  second.Cancel();
  second.Finish();
  ASSERT_TRUE(there.host->worlds().WaitUntilParked(absl::Seconds(30)));
  Server third = StartShared();
  Player last(third.stub.get(), "alice");
  last.Send(Resume(second.opened(), 3));
  last.ReadBlocks(1);
  last.Play({keys[5], keys[6]}, 6);
  ExpectBlocks(last, 4, {whole[4], whole[5], whole[6]});
}

TEST_F(WorldSessionsTest, AWorldThatMovesWhileItIsPlayedLosesNothing) {
  constexpr int kSteps = 60;
  const std::vector<std::string> names = {"W", "A", "", "D", "SPACE", "S"};
  std::vector<std::string> keys;
  for (int i = 0; i < kSteps; ++i) keys.push_back(names[i % names.size()]);
  Server here = StartShared(), there = StartShared();
  Player first(here.stub.get());
  first.Send(OpenNew(12));
  for (int i = 0; i < kSteps && first.Send(Step(i + 1, keys[i])); ++i) {
    if (i == kSteps / 2) first.ReadBlocks(1);
  }
  std::thread drain([&] { here.host->Drain(absl::ZeroDuration(), absl::Seconds(30)); });
  ASSERT_TRUE(first.Finish().ok()) << first.Finish().error_message();
  drain.join();

  Player second(there.stub.get());
  second.Send(Resume(first.opened(), first.blocks().back().index()));
  ASSERT_GE(second.ReadUntil("opened"), 0) << second.Finish().error_message();
  for (int64_t i = second.opened().last_action_sequence(); i < kSteps; ++i) {
    second.Send(Step(i + 1, keys[i]));
  }
  second.ReadBlocks(kSteps - first.blocks().size());
  const auto whole = Frames(12, keys);
  const auto moved = whole.begin() + static_cast<std::ptrdiff_t>(first.blocks().size());
  ExpectBlocks(first, 0, {whole.begin(), moved});
  ExpectBlocks(second, first.blocks().back().index() + 1, {moved, whole.end()});
}

TEST_F(WorldSessionsTest, OfTwoServersOneGetsTheSession) {
  Server here = StartShared(), there = StartShared();
  v1::WorldOpened opened;
  {
    Player player(here.stub.get());
    player.Send(OpenNew(1));
    player.Play({"W"});
    opened = player.opened();
  }
  ASSERT_TRUE(here.host->worlds().WaitUntilParked(absl::Seconds(30)));
  Player a(here.stub.get()), b(there.stub.get());
  a.Send(Resume(opened, 0));
  b.Send(Resume(opened, 0));
  const bool a_won = a.Read(), b_won = b.Read();
  EXPECT_NE(a_won, b_won);
  Player& loser = a_won ? b : a;
  EXPECT_EQ(loser.Finish().error_code(), StatusCode::NOT_FOUND);
}

TEST_F(WorldSessionsTest, ADrainingServerRefusesNewPlayersAtOnce) {
  Server server = Start({}, {.metrics_listen = "127.0.0.1:0"});
  server.host->engine().admission().StartDraining();
  Player refused(server.stub.get());  // that says nothing
  EXPECT_EQ(refused.Finish().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorInfoOf(refused.Finish()).reason(), "DRAINING");
  EXPECT_EQ(refused.trailers().count("grpc-retry-pushback-ms"), 1u);
  EXPECT_EQ(Value(MetricsPage(*server.host),
                  R"(firstbyte_requests_rejected_total{method="StepWorld",reason="DRAINING"})"),
            1);
}

TEST_F(WorldSessionsTest, ADrainTellsPlayersHowLongTheyHave) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(OpenNew(1));
  player.Play({"W"});
  std::thread drain([&] { server.host->Drain(absl::ZeroDuration(), absl::Seconds(60)); });
  ASSERT_GE(player.ReadUntil("notice"), 0);
  EXPECT_EQ(player.last().notice().kind(), v1::NOTICE_KIND_DRAINING);
  EXPECT_GT(player.last().notice().remaining_duration().seconds(), 30);
  player.Play({"A"}, 2);  // it still plays
  ExpectBlocks(player, 0, Frames(1, {"W", "A"}));
  Player refused(server.stub.get());
  refused.Send(OpenNew(1));
  EXPECT_FALSE(refused.Read());
  player.HalfClose();
  player.Finish();
  drain.join();
}

}  // namespace
}  // namespace firstbyte

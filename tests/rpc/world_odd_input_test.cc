// Players who do odd things, one after another or against each other.
#include <csignal>
#include <tuple>

#include <sys/resource.h>

#include "absl/strings/str_cat.h"
#include "grpcpp/generic/generic_stub.h"
#include "server/stream/saved_world.h"
#include "server/stream/sha256.h"
#include "tests/rpc/world_fixture.h"

namespace firstbyte {
namespace {

using grpc::StatusCode;

using OddWorldInputTest = WorldTest;

constexpr char kOpen[] = "open { create { seed: 2 } video { format: VIDEO_FORMAT_RAW_RGB } }";

std::string ResumeWith(const v1::WorldOpened& opened, const std::string& token,
                       int64_t last_block = 0) {
  v1::WorldOpened other = opened;
  other.set_token(token);
  return Resume(other, last_block);
}

// A parked session that has played one block.
v1::WorldOpened Park(WorldStore& worlds, v1::WorldService::Stub* stub,
                     const std::string& tenant = "") {
  v1::WorldOpened opened;
  {
    Player player(stub, tenant);
    player.Send(kOpen);
    player.Send(Step(1, "W"));
    player.ReadBlocks(1);
    opened = player.opened();
  }
  EXPECT_TRUE(worlds.WaitUntilParked(absl::Seconds(30)));
  return opened;
}

void ExpectEnd(Player* player, StatusCode code, const std::string& reason) {
  EXPECT_EQ(player->Finish().error_code(), code) << player->Finish().error_message();
  EXPECT_EQ(ErrorInfoOf(player->Finish()).reason(), reason);
}

TEST_F(OddWorldInputTest, CreditThatIsNeverGivenStopsOnlyThatPlayer) {
  Server server = Start();
  Player miser(server.stub.get());
  miser.Send("open { pacing: PACING_REALTIME target_fps: 200 }");
  do {  // on a busy machine some blocks are late
    ASSERT_GE(miser.ReadUntil("notice"), 0);
  } while (miser.last().notice().kind() != v1::NOTICE_KIND_PAUSED);
  EXPECT_EQ(miser.blocks().size(), 4u);
  Player other(server.stub.get());
  other.Send(kOpen);
  other.Send(Step(1, "W"));
  other.HalfClose();
  EXPECT_TRUE(other.Finish().ok());
  miser.Send("credit { blocks: 2 }");
  miser.ReadBlocks(6);
  EXPECT_EQ(miser.blocks().size(), 6u);
}

TEST_F(OddWorldInputTest, APromptFloodIsBounded) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(kOpen);
  player.Send("control { kind: CONTROL_KIND_PAUSE }");
  for (int i = 0; i < 2000; ++i) {
    auto request = Say(absl::StrCat("prompt { text: 'p", i, "' apply_at_block: ", 1000 + i, " }"));
    if (!player.Send(request)) break;
  }
  EXPECT_EQ(player.Finish().error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorInfoOf(player.Finish()).reason(), "TOO_MANY_PROMPTS");
  ExpectUnharmed(server);
}

TEST_F(OddWorldInputTest, AMessageThatDoesNotParseIsNamed) {
  Server server = Start();
  grpc::ClientContext context;
  grpc::GenericStub stub(server.channel);
  grpc::CompletionQueue queue;
  auto stream = stub.PrepareCall(&context, "/firstbyte.v1.WorldService/StepWorld", &queue);
  auto wait = [&] {
    void* tag;
    bool ok;
    queue.Next(&tag, &ok);
  };
  stream->StartCall(nullptr);
  wait();
  const grpc::Slice slice("\xff\xff\xff\xff");
  stream->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  wait();
  grpc::Status status;
  stream->Finish(&status, nullptr);
  wait();
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "MALFORMED_MESSAGE");
  ExpectUnharmed(server);
}

TEST_F(OddWorldInputTest, APlayerThatSaysNothingIsNotWaitedForForEver) {
  Server server = Start({}, {.first_message_timeout = absl::Milliseconds(100)});
  Player silent(server.stub.get());
  ExpectEnd(&silent, StatusCode::DEADLINE_EXCEEDED, "OPEN_TIMEOUT");
  ExpectUnharmed(server);
}

TEST_F(OddWorldInputTest, AnIdlePlayerIsParked) {
  Server server = Start();
  Player idle(server.stub.get());
  idle.Send("open { limits { max_idle_duration { nanos: 100000000 } } }");
  EXPECT_EQ(idle.Finish().error_code(), StatusCode::DEADLINE_EXCEEDED);
  ASSERT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(30)));
  EXPECT_EQ(server.host->worlds().counts().parked, 1);
  ExpectUnharmed(server);
}

TEST_F(OddWorldInputTest, BadInputParksTheSessionItCameIn) {
  Server server = Start();
  Player clumsy(server.stub.get());
  clumsy.Send(kOpen);
  clumsy.Send(Step(1, "W"));
  clumsy.ReadBlocks(1);
  clumsy.Send(Step(2, "TELEPORT"));
  ExpectEnd(&clumsy, StatusCode::INVALID_ARGUMENT, "UNKNOWN_KEY");
  ASSERT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(30)));
  Player again(server.stub.get());
  again.Send(ResumeWith(clumsy.opened(), clumsy.opened().token()));
  again.Send(Step(2, "A"));
  again.ReadBlocks(1);
  ExpectBlocks(again, 1, {Frames(2, {"W", "A"})[1]});
}

TEST_F(OddWorldInputTest, AStaleTokenIsRefused) {
  Server server = Start();
  const v1::WorldOpened opened = Park(server.host->worlds(), server.stub.get());
  v1::WorldOpened newer;
  {
    Player player(server.stub.get());
    player.Send(ResumeWith(opened, opened.token()));
    player.Send(Step(2, "A"));
    player.ReadBlocks(1);
    newer = player.opened();
    // Said after a block: by then `opened` was written, so this shows that the new token arrived.
    player.Send(Step(3, "S"));
    player.ReadBlocks(2);
    Player stale(server.stub.get());  // while somebody plays it
    stale.Send(ResumeWith(opened, opened.token()));
    ExpectEnd(&stale, StatusCode::PERMISSION_DENIED, "TOKEN_SUPERSEDED");
    player.Send(Step(4, "S"));
    player.ReadBlocks(3);
    EXPECT_EQ(player.blocks().size(), 3u);
  }
  ASSERT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(30)));
  Player stale(server.stub.get());  // while it is parked
  stale.Send(ResumeWith(opened, opened.token()));
  ExpectEnd(&stale, StatusCode::PERMISSION_DENIED, "TOKEN_SUPERSEDED");
  Player right(server.stub.get());
  right.Send(ResumeWith(newer, newer.token(), 3));
  EXPECT_GE(right.ReadUntil("opened"), 0);
}

TEST_F(OddWorldInputTest, AWrongTokenIsRefused) {
  Server server = Start();
  const v1::WorldOpened opened = Park(server.host->worlds(), server.stub.get());
  for (const std::string& token : {std::string(), std::string("1.AAAA"), opened.token() + "x"}) {
    Player thief(server.stub.get());
    thief.Send(ResumeWith(opened, token));
    ExpectEnd(&thief, StatusCode::PERMISSION_DENIED, "TOKEN_INVALID");
  }
  Player right(server.stub.get());
  right.Send(ResumeWith(opened, opened.token()));
  EXPECT_GE(right.ReadUntil("opened"), 0);
}

TEST_F(OddWorldInputTest, AnotherTenantsSessionDoesNotExist) {
  Server server = Start();
  const v1::WorldOpened opened = Park(server.host->worlds(), server.stub.get(), "alice");
  for (const std::string& tenant : {std::string(), std::string("bob")}) {
    Player thief(server.stub.get(), tenant);
    thief.Send(ResumeWith(opened, opened.token()));
    ExpectEnd(&thief, StatusCode::NOT_FOUND, "SESSION_NOT_FOUND");
  }
  Player owner(server.stub.get(), "alice");
  owner.Send(ResumeWith(opened, opened.token()));
  EXPECT_GE(owner.ReadUntil("opened"), 0);
}

TEST_F(OddWorldInputTest, ATenantMustBeReadable) {
  Server server = Start();
  Player player(server.stub.get(), std::string(200, 'x'));
  ExpectEnd(&player, StatusCode::INVALID_ARGUMENT, "BAD_TENANT");
}

TEST_F(OddWorldInputTest, OfTwoWhoRaceToResumeExactlyOnePlays) {
  Server server = Start();
  for (int round = 0; round < 10; ++round) {
    const v1::WorldOpened opened = Park(server.host->worlds(), server.stub.get());
    Player a(server.stub.get()), b(server.stub.get());
    a.Send(ResumeWith(opened, opened.token()));
    b.Send(ResumeWith(opened, opened.token()));
    const bool a_won = a.Read(), b_won = b.Read();
    ASSERT_NE(a_won, b_won);
    Player& winner = a_won ? a : b;
    Player& loser = a_won ? b : a;
    ExpectEnd(&loser, StatusCode::UNAVAILABLE, "SESSION_BUSY");
    EXPECT_GT(RetryInfoOf(loser.Finish()).retry_delay().seconds(), 0);
    winner.Send(Step(2, "A"));
    winner.ReadBlocks(1);
    ExpectBlocks(winner, 1, {Frames(2, {"W", "A"})[1]});
  }
}

TEST_F(OddWorldInputTest, BlocksThatAreGoneAreOutOfRange) {
  Server server = Start();
  const v1::WorldOpened opened = Park(server.host->worlds(), server.stub.get());
  Player future(server.stub.get());
  future.Send(ResumeWith(opened, opened.token(), 1000));
  EXPECT_EQ(future.Finish().error_code(), StatusCode::OUT_OF_RANGE);
  ASSERT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(30)));
  Player right(server.stub.get());  // it was put back
  right.Send(ResumeWith(opened, opened.token()));
  EXPECT_GE(right.ReadUntil("opened"), 0);
}

TEST_F(OddWorldInputTest, ASnapshotWhileSteppingIsOfABlockBoundary) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(kOpen);
  const std::vector<std::string> keys = {"W", "A", "S", "D"};
  for (int i = 0; i < 40; ++i) {
    player.Send(Step(i + 1, keys[i % 4]));
    if (i % 10 == 5) player.Send("control { kind: CONTROL_KIND_SNAPSHOT }");
  }
  player.HalfClose();
  ASSERT_TRUE(player.Finish().ok()) << player.Finish().error_message();
  std::vector<std::string> all;
  for (int i = 0; i < 41; ++i) all.push_back(keys[i % 4]);
  const auto whole = Frames(2, all);
  ExpectBlocks(player, 0, {whole.begin(), whole.begin() + 40});
  int snapshots = 0;
  for (const auto& response : player.responses()) {
    if (!response.has_snapshot()) continue;
    EXPECT_EQ(response.snapshot().block(), 6 + 10 * snapshots++);
    Player copy(server.stub.get());
    copy.Send(absl::StrCat("open { snapshot { snapshot_id: '", response.snapshot().snapshot_id(),
                           "' } video { format: VIDEO_FORMAT_RAW_RGB } }"));
    // Steps that had arrived and were not played go on in the copy; this one may be the first.
    copy.Send(Step(100, keys[response.snapshot().block() % 4]));
    copy.ReadBlocks(1);
    ASSERT_GE(copy.blocks().size(), 1u);
    EXPECT_EQ(FramesOf(copy.blocks()[0]), whole[response.snapshot().block()]);
  }
  EXPECT_EQ(snapshots, 4);
}

// ---- Snapshots that are not what they seem. ----

TEST_F(OddWorldInputTest, AFullDiskRefusesTheSnapshotAndTheWorldGoesOn) {
  std::signal(SIGXFSZ, SIG_IGN);
  Server server = StartShared();
  Player player(server.stub.get());
  player.Send(kOpen);
  player.Send(Step(1, "W"));
  player.ReadBlocks(1);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tiny{64, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tiny);
  player.Send("control { kind: CONTROL_KIND_SNAPSHOT }");
  const grpc::Status status = player.Finish();
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "SNAPSHOT_DISK_FULL");
  ASSERT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(30)));
  // The session was parked with all it had done.
  Player again(server.stub.get());
  again.Send(ResumeWith(player.opened(), player.opened().token()));
  again.Send(Step(2, "A"));
  again.ReadBlocks(1);
  ExpectBlocks(again, 1, {Frames(2, {"W", "A"})[1]});
}

grpc::Status Import(v1::WorldService::Stub& stub,
                    const std::vector<v1::ImportSnapshotRequest>& requests,
                    std::string* id = nullptr) {
  grpc::ClientContext context;
  v1::ImportSnapshotResponse response;
  auto stream = stub.ImportSnapshot(&context, &response);
  for (const auto& request : requests) {
    if (!stream->Write(request)) break;
  }
  stream->WritesDone();
  grpc::Status status = stream->Finish();
  if (id) *id = response.snapshot().snapshot_id();
  EXPECT_EQ(context.GetServerTrailingMetadata().count("x-request-id"), 1u);
  return status;
}
v1::ImportSnapshotRequest Announce(int64_t size, const std::string& sha256) {
  v1::ImportSnapshotRequest request;
  request.mutable_snapshot()->set_size_bytes(size);
  request.mutable_snapshot()->set_sha256(sha256);
  return request;
}
v1::ImportSnapshotRequest Piece(std::string data) {
  v1::ImportSnapshotRequest request;
  request.set_data(std::move(data));
  return request;
}

TEST_F(OddWorldInputTest, ImportsAreChecked) {
  Server server = Start();
  const std::string good =
      SerializeWorld({.model = "m", .state = std::make_shared<const std::string>("state")});
  const std::string sha256 = Sha256(good);
  const auto size = static_cast<int64_t>(good.size());
  std::string flipped = good;
  flipped[good.size() / 2] ^= 1;
  struct Case {
    std::vector<v1::ImportSnapshotRequest> requests;
    StatusCode code;
    std::string reason;
  };
  for (const Case& bad : std::vector<Case>{
           {{}, StatusCode::INVALID_ARGUMENT, "SNAPSHOT_MISSING"},
           {{Piece(good)}, StatusCode::INVALID_ARGUMENT, "SNAPSHOT_MISSING"},
           {{v1::ImportSnapshotRequest()}, StatusCode::INVALID_ARGUMENT, "EMPTY_MESSAGE"},
           {{Announce(0, sha256)}, StatusCode::INVALID_ARGUMENT, "OUT_OF_RANGE"},
           {{Announce(size, "short")}, StatusCode::INVALID_ARGUMENT, "OUT_OF_RANGE"},
           {{Announce(size, sha256), Announce(size, sha256)},
            StatusCode::INVALID_ARGUMENT,
            "SNAPSHOT_REPEATED"},
           {{Announce(4 << 20, sha256), Piece(std::string((1 << 20) + 1, 'x'))},
            StatusCode::INVALID_ARGUMENT,
            "OUT_OF_RANGE"},
           {{Announce(size, sha256), Piece(good.substr(1))},
            StatusCode::DATA_LOSS,
            "SNAPSHOT_CORRUPTED"},
           {{Announce(size, sha256), Piece(good), Piece("x")},
            StatusCode::DATA_LOSS,
            "SNAPSHOT_CORRUPTED"},
           {{Announce(size, sha256), Piece(flipped)}, StatusCode::DATA_LOSS, "SNAPSHOT_CORRUPTED"},
           {{Announce(size, Sha256(flipped)), Piece(flipped)},
            StatusCode::DATA_LOSS,
            "SNAPSHOT_CORRUPTED"},
       }) {
    const grpc::Status status = Import(*server.stub, bad.requests);
    EXPECT_EQ(status.error_code(), bad.code) << status.error_message();
    EXPECT_EQ(ErrorInfoOf(status).reason(), bad.reason) << status.error_message();
  }
  EXPECT_TRUE(Import(*server.stub, {Announce(size, sha256), Piece(good)}).ok());
  ExpectUnharmed(server);
}

TEST_F(OddWorldInputTest, AnotherWorldsSnapshotIsRefused) {
  Server server = Start();
  const v1::WorldOpened opened = Park(server.host->worlds(), server.stub.get());
  auto import = [&](const std::string& version, const std::string& state) {
    const std::string container =
        SerializeWorld({.model = opened.model(),
                        .version = version,
                        .state = std::make_shared<const std::string>(state)});
    const auto size = static_cast<int64_t>(container.size());
    std::string id;
    const grpc::Status status =
        Import(*server.stub, {Announce(size, Sha256(container)), Piece(container)}, &id);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return absl::StrCat("open { snapshot { snapshot_id: '", id, "' } }");
  };
  Player other(server.stub.get());
  other.Send(import("other weights", "x"));
  ExpectEnd(&other, StatusCode::FAILED_PRECONDITION, "MODEL_MISMATCH");
  Player rubbish(server.stub.get());
  rubbish.Send(import("scripted-world-1", "rubbish"));
  ExpectEnd(&rubbish, StatusCode::DATA_LOSS, "SNAPSHOT_CORRUPTED");
  ExpectUnharmed(server);
}

TEST_F(OddWorldInputTest, ListsRefuseNonsense) {
  Server server = Start();
  for (const auto& [size, token, reason] :
       {std::tuple<int, std::string, std::string>(-1, "", "OUT_OF_RANGE"),
        {1001, "", "OUT_OF_RANGE"},
        {1, "rubbish", "BAD_PAGE_TOKEN"},
        {1, "!!!", "BAD_PAGE_TOKEN"}}) {
    grpc::ClientContext context;
    v1::ListSessionsRequest request;
    request.set_page_size(size);
    request.set_page_token(token);
    v1::ListSessionsResponse response;
    const grpc::Status status = server.stub->ListSessions(&context, request, &response);
    EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ErrorInfoOf(status).reason(), reason);
  }
}

TEST_F(OddWorldInputTest, WithoutASlotTheRefusalSaysWhenToRetryAndParksWhatWasResumed) {
  Server server = Start({.slots = 1});
  const v1::WorldOpened opened = Park(server.host->worlds(), server.stub.get());
  Player holder(server.stub.get());
  holder.Send(kOpen);
  holder.ReadUntil("opened");
  Player refused(server.stub.get());
  refused.Send(ResumeWith(opened, opened.token()));
  EXPECT_EQ(refused.Finish().error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.trailers().count("grpc-retry-pushback-ms"), 1u);
  holder.HalfClose();
  EXPECT_TRUE(holder.Finish().ok());
  Player again(server.stub.get());
  again.Send(ResumeWith(opened, opened.token()));
  EXPECT_GE(again.ReadUntil("opened"), 0);
}

TEST_F(OddWorldInputTest, AFailureInsideTheWorldEndsThatSessionOnly) {
  Server server = Start({.poison_key = "SPACE"});
  Player player(server.stub.get());
  player.Send(kOpen);
  player.Send(Step(1, "SPACE"));
  ExpectEnd(&player, StatusCode::INTERNAL, "SCRIPTED_FAILURE");
  ExpectUnharmed(server);
  EXPECT_EQ(server.host->worlds().counts().parked, 0);
}

TEST_F(OddWorldInputTest, BeforeModelsAreLoadedEveryMethodSaysSo) {
  auto host = Host::Listen({});
  ASSERT_TRUE(host.ok());
  auto channel = grpc::CreateChannel(absl::StrCat("127.0.0.1:", (*host)->port()),
                                     grpc::InsecureChannelCredentials());
  auto stub = v1::WorldService::NewStub(channel);
  Player player(stub.get());
  ExpectEnd(&player, StatusCode::UNAVAILABLE, "STARTING");
  grpc::ClientContext context;
  v1::ListWorldsResponse worlds;
  EXPECT_EQ(stub->ListWorlds(&context, {}, &worlds).error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorInfoOf(Import(*stub, {})).reason(), "STARTING");
}

}  // namespace
}  // namespace firstbyte

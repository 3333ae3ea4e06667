#include "client/world_client.h"

#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "codec/image.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fake/fake_world_service.h"

namespace firstbyte {
namespace {

using ::testing::ElementsAre;

v1::OpenWorld Raw(const std::string& model = "") {
  v1::OpenWorld open;
  open.set_model(model);
  open.mutable_video()->set_format(v1::VIDEO_FORMAT_RAW_RGB);
  return open;
}

v1::Actions Hold(const std::vector<std::string>& keys, int64_t sequence) {
  v1::Actions actions;
  actions.set_sequence(sequence);
  for (const std::string& key : keys) actions.add_keys(key);
  return actions;
}

// All that is left, as the indices of the blocks.
std::vector<int64_t> Blocks(WorldStream* stream) {
  std::vector<int64_t> blocks;
  v1::StepWorldResponse response;
  while (stream->Next(&response)) {
    if (response.has_block()) blocks.push_back(response.block().index());
  }
  return blocks;
}

class WorldClientTest : public testing::Test {
 protected:
  FakeWorldServer server_;
  WorldClient client_{server_.target()};
};

TEST_F(WorldClientTest, ActionsGoInAndPicturesComeOut) {
  v1::OpenWorld open = Raw();
  open.mutable_create()->set_prompt("night");
  auto stream = client_.Open(open);
  v1::StepWorldResponse response;
  ASSERT_TRUE(stream->Next(&response));
  EXPECT_EQ(response.opened().width(), FakeWorldService::kWidth);
  ASSERT_TRUE(stream->Act(Hold({"forward"}, 5)).ok());
  ASSERT_TRUE(stream->Next(&response)) << "blocks come while the input is open";
  EXPECT_EQ(response.block().applied_action_sequence(), 5);
  const std::string& frame = response.block().frames(0).data();
  EXPECT_EQ(frame.size(), size_t{3} * FakeWorldService::kWidth * FakeWorldService::kHeight);
  EXPECT_EQ(frame.substr(0, 3), std::string("\x00\x07\x05", 3));
  ASSERT_TRUE(stream->Prompt("").ok());
  ASSERT_TRUE(stream->Act(Hold({}, 6)).ok());
  ASSERT_TRUE(stream->Next(&response));
  EXPECT_EQ(response.block().frames(0).data().substr(0, 3), std::string("\x01\x00\x00", 3));
  ASSERT_TRUE(stream->EndInput().ok());
  ASSERT_TRUE(stream->Next(&response));
  EXPECT_EQ(response.summary().block_count(), 2);
  EXPECT_FALSE(stream->Next(&response));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_FALSE(stream->Act(Hold({}, 7)).ok());
}

TEST_F(WorldClientTest, OneThreadSendsWhileAnotherReads) {
  v1::OpenWorld open = Raw();
  open.set_pacing(v1::PACING_FREE_RUN);
  auto stream = client_.Open(open);
  std::thread sender([&] {
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(stream->GiveCredit(1).ok());
    EXPECT_TRUE(stream->Control(v1::CONTROL_KIND_CLOSE).ok());
  });
  EXPECT_EQ(Blocks(stream.get()).size(), 54u);  // and the four a session starts with
  sender.join();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(WorldClientTest, ARefusalArrivesWithItsReason) {
  auto stream = client_.Open(Raw("full"), {.attempts = 3});
  EXPECT_THAT(Blocks(stream.get()), ElementsAre());
  absl::Status status = stream->Finish();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailOf(status).reason, "NO_SLOT");
  EXPECT_EQ(DetailOf(status).retry_after, absl::Milliseconds(250));
}

TEST_F(WorldClientTest, APromptThatIsNotUtf8IsNotSent) {
  auto stream = client_.Open(Raw());
  EXPECT_EQ(stream->Prompt("\xff").code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(stream->EndInput().ok());
  EXPECT_THAT(Blocks(stream.get()), ElementsAre());
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(WorldClientTest, WithoutAPolicyABreakIsTheEnd) {
  auto stream = client_.Open(Raw("fragile"));
  for (int i = 0; i < 3; ++i) stream->Act(Hold({}, i + 1)).IgnoreError();
  EXPECT_THAT(Blocks(stream.get()), ElementsAre(0, 1));
  EXPECT_EQ(stream->Finish().code(), absl::StatusCode::kUnavailable);
}

TEST_F(WorldClientTest, ABreakIsMendedAndNoBlockIsLostOrRepeated) {
  auto stream = client_.Open(Raw("fragile"), {.attempts = 3, .first_pause = absl::ZeroDuration()});
  v1::StepWorldResponse response;
  ASSERT_TRUE(stream->Next(&response));
  const v1::WorldOpened first = response.opened();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(stream->Act(Hold({}, i + 1)).ok());
  std::vector<int64_t> blocks;
  while (blocks.size() < 3) {
    ASSERT_TRUE(stream->Next(&response));
    if (response.has_block()) blocks.push_back(response.block().index());
    if (response.has_opened()) {
      EXPECT_EQ(response.opened().session_id(), first.session_id());
      EXPECT_NE(response.opened().token(), first.token());
    }
  }
  EXPECT_EQ(stream->resumes(), 1);
  ASSERT_TRUE(stream->Act(Hold({}, 4)).ok());
  ASSERT_TRUE(stream->EndInput().ok());
  for (int64_t block : Blocks(stream.get())) blocks.push_back(block);
  EXPECT_THAT(blocks, ElementsAre(0, 1, 2, 3));
  EXPECT_TRUE(stream->Finish().ok());
  for (const v1::StepWorldRequest& request : server_.service().requests()) {
    if (!request.open().has_resume()) continue;
    EXPECT_EQ(request.open().resume().token(), first.token());
    EXPECT_EQ(request.open().resume().last_block_received(), 1);
  }
}

TEST_F(WorldClientTest, ActionsThatABreakSwallowedAreSentAgain) {
  auto stream = client_.Open(Raw("fragile"), {.attempts = 3, .first_pause = absl::ZeroDuration()});
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(stream->Act(Hold({}, i + 1)).ok());
  v1::StepWorldResponse response;
  for (int64_t block = 0; block < 8;) {
    ASSERT_TRUE(stream->Next(&response));
    if (!response.has_block()) continue;
    EXPECT_EQ(response.block().index(), block);
    EXPECT_EQ(response.block().applied_action_sequence(), ++block);
  }
  ASSERT_TRUE(stream->EndInput().ok());
  EXPECT_THAT(Blocks(stream.get()), ElementsAre());
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(WorldClientTest, WhatIsSentDuringABreakIsSentAfterIt) {
  auto stream = client_.Open(Raw("fragile"), {.attempts = 3, .first_pause = absl::Milliseconds(1)});
  v1::Actions three = Hold({}, 1);
  three.set_repeat(3);
  ASSERT_TRUE(stream->Act(three).ok());
  // The server has broken off once it has parked the session; nobody reads, so nobody mends it yet.
  while (client_.ListSessions()->empty()) std::this_thread::yield();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(stream->Act(Hold({"back"}, i + 2)).ok());
  ASSERT_TRUE(stream->Prompt("night").ok());
  ASSERT_TRUE(stream->Act(Hold({}, 7)).ok());
  ASSERT_TRUE(stream->EndInput().ok());
  EXPECT_THAT(Blocks(stream.get()), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(stream->resumes(), 1);
  bool prompted = false;
  for (const auto& request : server_.service().requests()) prompted |= request.has_prompt();
  EXPECT_TRUE(prompted);
}

TEST_F(WorldClientTest, AServerThatOnlyBreaksIsGivenUp) {
  auto stream = client_.Open(Raw("hopeless"), {.attempts = 3, .first_pause = absl::ZeroDuration()});
  stream->Act(Hold({}, 1)).IgnoreError();
  EXPECT_THAT(Blocks(stream.get()), ElementsAre());
  EXPECT_EQ(stream->Finish().code(), absl::StatusCode::kUnavailable);
  int opens = 0;
  for (const auto& request : server_.service().requests()) opens += request.has_open();
  EXPECT_EQ(opens, 4);
}

TEST_F(WorldClientTest, CancelEndsABreakThatLasts) {
  auto stream = client_.Open(Raw("fragile"), {.attempts = 3, .first_pause = absl::Hours(1)});
  v1::Actions actions;
  actions.set_repeat(3);
  ASSERT_TRUE(stream->Act(actions).ok());
  v1::StepWorldResponse response;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(stream->Next(&response));  // opened and two blocks
  std::thread reader([&] { EXPECT_FALSE(stream->Next(&response)); });
  stream->Cancel();
  reader.join();
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_F(WorldClientTest, DroppingAStreamCancelsIt) {
  client_.Open(Raw());
  auto stream = client_.Open(Raw());
  v1::StepWorldResponse response;
  ASSERT_TRUE(stream->Next(&response));
}

TEST_F(WorldClientTest, SessionsAreListedPageByPageAndDeleted) {
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    auto stream = client_.Open(Raw("fragile"));
    v1::Actions actions;
    actions.set_repeat(3);
    stream->Act(actions).IgnoreError();
    Blocks(stream.get());
  }
  auto sessions = client_.ListSessions();
  ASSERT_TRUE(sessions.ok()) << sessions.status();
  ASSERT_EQ(sessions->size(), 3u);
  const std::string id = (*sessions)[1].session_id();
  EXPECT_EQ(client_.GetSession(id)->next_block(), 3);
  EXPECT_TRUE(client_.DeleteSession(id).ok());
  EXPECT_EQ(DetailOf(client_.GetSession(id).status()).reason, "SESSION_NOT_FOUND");
  EXPECT_EQ(client_.DeleteSession(id).code(), absl::StatusCode::kNotFound);
}

TEST_F(WorldClientTest, ASnapshotIsTakenExportedImportedAndOpened) {
  auto stream = client_.Open(Raw());
  ASSERT_TRUE(stream->Act(Hold({}, 1)).ok());
  ASSERT_TRUE(stream->Control(v1::CONTROL_KIND_SNAPSHOT).ok());
  v1::StepWorldResponse response;
  do {
    ASSERT_TRUE(stream->Next(&response));
  } while (!response.has_snapshot());
  EXPECT_EQ(response.snapshot().block(), 1);
  std::string bytes;
  auto exported =
      client_.ExportSnapshot(response.snapshot().snapshot_id(), [&](absl::string_view piece) {
        bytes.append(piece.data(), piece.size());
        return absl::OkStatus();
      });
  ASSERT_TRUE(exported.ok()) << exported.status();
  EXPECT_EQ(bytes, "1 ");
  auto imported = client_.ImportSnapshot(*exported, bytes);
  ASSERT_TRUE(imported.ok()) << imported.status();
  v1::OpenWorld open = Raw();
  open.mutable_snapshot()->set_snapshot_id(imported->snapshot_id());
  auto copy = client_.Open(open);
  ASSERT_TRUE(copy->Act(Hold({}, 1)).ok());
  ASSERT_TRUE(copy->EndInput().ok());
  EXPECT_THAT(Blocks(copy.get()), ElementsAre(1));
}

TEST_F(WorldClientTest, LargeSnapshotsTravelInPieces) {
  std::string bytes = "7 " + std::string(5 << 20, 'x');
  v1::WorldSnapshot said;
  said.set_size_bytes(static_cast<int64_t>(bytes.size()));
  said.set_sha256(std::string(32, 'd'));
  auto imported = client_.ImportSnapshot(said, bytes);
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(imported->block(), 7);
  said.set_size_bytes(1);
  EXPECT_EQ(client_.ImportSnapshot(said, bytes).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(WorldClientTest, AnErrorOfTheFileStopsTheExport) {
  auto stream = client_.Open(Raw());
  ASSERT_TRUE(stream->Control(v1::CONTROL_KIND_SNAPSHOT).ok());
  v1::StepWorldResponse response;
  do {
    ASSERT_TRUE(stream->Next(&response));
  } while (!response.has_snapshot());
  auto exported = client_.ExportSnapshot(response.snapshot().snapshot_id(), [](absl::string_view) {
    return absl::ResourceExhaustedError("disk full");
  });
  EXPECT_EQ(exported.status().message(), "disk full");
}

}  // namespace
}  // namespace firstbyte

// What a player is sent besides the pictures' content: their coding, the one media clock, the three
// pacings, and notices.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "codec/image.h"
#include "tests/rpc/world_fixture.h"

namespace firstbyte {
namespace {

using WorldMediaTest = WorldTest;

// Offsets of all sound messages and of all blocks, in samples at 16 kHz.
struct Clock {
  std::vector<int64_t> blocks, sound;
};
int64_t Samples(const google::protobuf::Duration& duration) {
  return duration.seconds() * 16000 + duration.nanos() / 62500;
}
Clock ClockOf(const Player& player) {
  Clock clock;
  for (const auto& response : player.responses()) {
    if (response.has_block()) {
      clock.blocks.push_back(Samples(response.block().presentation_offset()));
    }
    if (response.has_audio()) clock.sound.push_back(Samples(response.audio().start_offset()));
  }
  return clock;
}

std::vector<v1::Notice> NoticesOf(const Player& player, v1::NoticeKind kind) {
  std::vector<v1::Notice> notices;
  for (const auto& response : player.responses()) {
    if (response.notice().kind() == kind) notices.push_back(response.notice());
  }
  return notices;
}

// ---- Pictures. ----

TEST_F(WorldMediaTest, PngLosesNothing) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send("open { create { seed: 3 } video { format: VIDEO_FORMAT_PNG } }");
  player.Play({"W", "A"});
  const auto expected = Frames(3, {"W", "A"});
  ASSERT_EQ(player.blocks().size(), 2u);
  for (size_t block = 0; block < 2; ++block) {
    ASSERT_EQ(player.blocks()[block].frames_size(), 2);
    for (int frame = 0; frame < 2; ++frame) {
      auto image =
          DecodeImage(player.blocks()[block].frames(frame).data(), ImageFormat::kPng, {}, 8, 6);
      ASSERT_TRUE(image.ok()) << image.status();
      EXPECT_EQ(std::string(image->data.begin(), image->data.end()), expected[block][frame]);
    }
  }
}

TEST_F(WorldMediaTest, JpegIsOfTheWorldsSizeAndAsGoodAsAskedFor) {
  Server server = Start();
  size_t bytes[2] = {};
  for (int i = 0; i < 2; ++i) {
    Player player(server.stub.get());
    player.Send(
        absl::StrCat("open { create { seed: 3 } video { quality: ", i == 0 ? 5 : 100, " } }"));
    player.Play({"W"});
    ASSERT_EQ(player.blocks().size(), 1u);
    EXPECT_EQ(player.opened().video_format(), v1::VIDEO_FORMAT_JPEG);
    const std::string& jpeg = player.blocks()[0].frames(0).data();
    auto image = DecodeImage(jpeg, ImageFormat::kJpeg, {}, 8, 6);
    ASSERT_TRUE(image.ok()) << image.status();
    EXPECT_EQ(image->width, 8);
    EXPECT_EQ(image->height, 6);
    bytes[i] = jpeg.size();
  }
  EXPECT_LT(bytes[0], bytes[1]);
}

TEST_F(WorldMediaTest, APictureToBeginWithChangesTheWorld) {
  Server server = Start();
  std::string png;
  const std::vector<uint8_t> rgb(size_t{3} * 16 * 16, 200);
  ASSERT_TRUE(EncodeImage(rgb, 16, 16, ImageFormat::kPng, 0, &png).ok());
  v1::StepWorldRequest open = Say(OpenNew(3));
  open.mutable_open()->mutable_create()->set_initial_image(png);
  Player player(server.stub.get());
  player.Send(open);
  player.Play({"W"});
  ASSERT_EQ(player.blocks().size(), 1u);
  EXPECT_NE(FramesOf(player.blocks()[0]), Frames(3, {"W"})[0]);
}

// ---- The media clock. ----

TEST_F(WorldMediaTest, SoundAndPicturesShareOneClock) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send("open { create { seed: 1 } audio {} video { format: VIDEO_FORMAT_RAW_RGB } }");
  player.Play({"W", "A", "S"});
  player.HalfClose();
  ASSERT_TRUE(player.Finish().ok()) << player.Finish().error_message();
  const Clock clock = ClockOf(player);
  EXPECT_EQ(clock.blocks, (std::vector<int64_t>{0, 1600, 3200}));
  EXPECT_EQ(clock.sound, clock.blocks);
}

TEST_F(WorldMediaTest, SoundStaysWithItsPicturesWhenTheyAreShownAtAnotherRate) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send("open { audio {} pacing: PACING_REALTIME target_fps: 80 }");
  player.ReadBlocks(4);
  player.HalfClose();
  ASSERT_TRUE(player.Finish().ok()) << player.Finish().error_message();
  const Clock clock = ClockOf(player);
  ASSERT_GE(clock.blocks.size(), 4u);
  EXPECT_EQ(clock.blocks[3], 3 * 400);
  EXPECT_EQ(clock.sound, clock.blocks);
}

TEST_F(WorldMediaTest, TheClockGoesOnAfterAResume) {
  Server server = Start();
  v1::WorldOpened opened;
  {
    Player player(server.stub.get());
    player.Send(OpenNew(1));
    player.Play({"W", "A"});
    opened = player.opened();
  }
  ASSERT_TRUE(server.host->worlds().WaitUntilParked(absl::Seconds(30)));
  v1::StepWorldRequest open = Say(Resume(opened, 1));
  open.mutable_open()->mutable_audio();
  Player again(server.stub.get());
  again.Send(open);
  again.Play({"S"}, 3);
  again.HalfClose();
  ASSERT_TRUE(again.Finish().ok()) << again.Finish().error_message();
  EXPECT_EQ(ClockOf(again).blocks, std::vector<int64_t>{3200});
  EXPECT_EQ(ClockOf(again).sound, std::vector<int64_t>{3200});
}

// ---- Pacings. ----

TEST_F(WorldMediaTest, LockstepWaitsForThePlayer) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send("open { create { seed: 1 } video { format: VIDEO_FORMAT_RAW_RGB } }");
  player.ReadUntil("opened");
  player.Send("credit { blocks: 100 }");
  player.Send("control { kind: CONTROL_KIND_SNAPSHOT }");
  ASSERT_GE(player.ReadUntil("snapshot"), 0);  // so the lane has passed a boundary
  EXPECT_TRUE(player.blocks().empty());
  EXPECT_EQ(player.last().snapshot().block(), 0);
}

TEST_F(WorldMediaTest, RealtimePlaysOnWithTheKeysThatAreHeld) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(
      "open { create { seed: 1 } pacing: PACING_REALTIME target_fps: 200"
      "  video { format: VIDEO_FORMAT_RAW_RGB } }");
  v1::StepWorldRequest step = Step(7, "W");
  step.mutable_actions()->mutable_client_time()->set_seconds(1234);
  player.Send(step);
  player.Send("credit { blocks: 20 }");
  player.ReadBlocks(24);
  ASSERT_EQ(player.blocks().size(), 24u);
  size_t first = 0;  // that heard the key
  while (first < 24 && player.blocks()[first].applied_action_sequence() == 0) ++first;
  ASSERT_LT(first, 24u);
  std::vector<std::string> keys(24, "W");
  std::fill(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(first), "");
  ExpectBlocks(player, 0, Frames(1, keys));
  for (size_t i = first; i < 24; ++i) {
    EXPECT_EQ(player.blocks()[i].applied_action_sequence(), 7);
    EXPECT_EQ(player.blocks()[i].client_time().seconds(), 1234);
  }
}

TEST_F(WorldMediaTest, AFpsThatTheServerCannotSustainIsRefused) {
  ScriptedWorldOptions slow;
  slow.on_step = [](Stage, int) {
    absl::SleepFor(absl::Milliseconds(5));  // four steps and more a block
    return absl::OkStatus();
  };
  Server server = Start(slow);
  Player player(server.stub.get());
  player.Send("open { pacing: PACING_REALTIME target_fps: 240 }");
  EXPECT_EQ(player.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorInfoOf(player.Finish()).reason(), "FPS_TOO_HIGH");
}

// ---- Prompts and controls. ----

TEST_F(WorldMediaTest, APromptForALaterBlockIsHeardThere) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(OpenNew(1));
  player.Send("prompt { text: 'night' apply_at_block: 2 }");
  player.Play({"W", "A", "S"});
  player.HalfClose();
  ASSERT_TRUE(player.Finish().ok()) << player.Finish().error_message();
  const auto plain = Frames(1, {"W", "A", "S"});
  EXPECT_EQ(FramesOf(player.blocks()[1]), plain[1]);
  EXPECT_NE(FramesOf(player.blocks()[2]), plain[2]);
  const auto notices = NoticesOf(player, v1::NOTICE_KIND_PROMPT_APPLIED);
  ASSERT_EQ(notices.size(), 1u);
  EXPECT_EQ(notices[0].block(), 2);
}

TEST_F(WorldMediaTest, TheNoticeOfAPromptComesBeforeItsBlock) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(OpenNew(1));
  player.Play({"W"});
  player.Send("prompt { embedding { values: [1, 0, 0, 0] } }");
  player.Play({"A"}, 2);
  ASSERT_GE(player.responses().size(), 2u);
  const auto& before = player.responses()[player.responses().size() - 2];
  EXPECT_EQ(before.notice().kind(), v1::NOTICE_KIND_PROMPT_APPLIED);
  EXPECT_EQ(before.notice().block(), 1);
  EXPECT_EQ(player.last().block().index(), 1);
}

TEST_F(WorldMediaTest, AFloodOfPromptsIsAsGoodAsItsLast) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send("open { pacing: PACING_REALTIME target_fps: 200 }");
  for (int i = 0; i < 1000; ++i) {
    player.Send(Say(absl::StrCat("prompt { text: 'p", i, "' }")));
    player.Send(Step(i + 1, "W"));
  }
  player.HalfClose();
  EXPECT_TRUE(player.Finish().ok()) << player.Finish().error_message();
  EXPECT_LE(NoticesOf(player, v1::NOTICE_KIND_PROMPT_APPLIED).size(), player.blocks().size());
  ExpectUnharmed(server);
}

TEST_F(WorldMediaTest, PauseIsNoticedAndResumePlaysWhatWaited) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(OpenNew(1));
  player.Play({"W"});
  player.Send("control { kind: CONTROL_KIND_PAUSE }");
  ASSERT_GE(player.ReadUntil("notice"), 0);
  EXPECT_EQ(player.last().notice().kind(), v1::NOTICE_KIND_PAUSED);
  player.Send(Step(2, "A"));
  player.Send("control { kind: CONTROL_KIND_RESUME }");
  player.ReadBlocks(2);
  ExpectBlocks(player, 0, Frames(1, {"W", "A"}));
}

TEST_F(WorldMediaTest, ResetGoesBackToTheOriginButNotInTime) {
  Server server = Start();
  Player player(server.stub.get());
  player.Send(OpenNew(1));
  player.Play({"W", "A"});
  player.Send("control { kind: CONTROL_KIND_RESET }");
  player.Play({"W"}, 3);
  ASSERT_EQ(player.blocks().size(), 3u);
  EXPECT_EQ(player.blocks()[2].index(), 2);
  EXPECT_EQ(player.blocks()[2].presentation_offset().nanos(), 200'000'000);
  EXPECT_NE(FramesOf(player.blocks()[2]), Frames(1, {"W", "A", "W"})[2]);
}

}  // namespace
}  // namespace firstbyte

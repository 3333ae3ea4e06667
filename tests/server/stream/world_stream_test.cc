#include "server/stream/world_stream.h"

#include <cmath>
#include <future>
#include <limits>
#include <thread>

#include "tests/server/stream/world_fixture.h"

namespace firstbyte {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

using WorldStreamTest = WorldTest;

TEST_F(WorldStreamTest, LockstepMakesOneBlockAnActionAndSumsUp) {
  OpenWorld open = Open(9);
  open.request_id = "r1";
  open.audio = AudioFormat{.sample_rate_hertz = 0};
  const absl::Time acted = absl::FromUnixSeconds(12345);
  WorldActions first = Act(5, {"W", "SPACE"});
  first.client_time = acted;
  WorldActions second = Act(8);
  second.pointer_dx = 0.5;
  second.axes = {{"look_y", -1}};
  WorldTranscript t = Run({open, first, second});
  ASSERT_TRUE(t.end->status.ok()) << t.end->status;
  EXPECT_EQ(t.end->request_id, "r1");
  EXPECT_EQ(t.opened->seed, 9u);
  EXPECT_EQ(t.opened->model->name, "scripted-world");
  EXPECT_EQ(t.opened->fps, 20);
  EXPECT_EQ(t.opened->next_block, 0);
  EXPECT_FALSE(t.opened->session_id.empty());
  ASSERT_THAT(t.indices(), ElementsAre(0, 1));
  EXPECT_EQ(t.blocks[0].applied_action_sequence, 5);
  EXPECT_EQ(t.blocks[0].client_time, acted);
  EXPECT_EQ(t.blocks[1].applied_action_sequence, 8);
  EXPECT_EQ(t.blocks[1].client_time, std::nullopt);
  EXPECT_EQ(t.blocks[1].presentation_offset, absl::Milliseconds(100));
  // A millisecond a step: two passes and the decoding.
  EXPECT_EQ(t.blocks[1].timing.generation, absl::Milliseconds(2));
  EXPECT_EQ(t.blocks[1].timing.decode, absl::Milliseconds(1));
  EXPECT_EQ(t.blocks[1].timing.mean_batch_size, 1);

  ScriptedWorldReplay replay(options_, 9);
  EXPECT_EQ(t.blocks[0].frames, Frames(replay.Next(Held({0, 4}))));
  BlockActions moved;
  moved.pointer_dx = 0.5;
  moved.axes = {0, -1};
  EXPECT_EQ(t.blocks[1].frames, Frames(replay.Next(moved)));
  EXPECT_EQ(t.pcm.size(), 2u * 1600 * 2);
  EXPECT_EQ(t.audio[1].start_sample, 1600);
  EXPECT_EQ(t.summary->blocks, 2);
  EXPECT_EQ(t.summary->reason, WorldSummary::Reason::kClosed);
  EXPECT_EQ(observer_.blocks, 2);
  ExpectUnharmed();
}

TEST_F(WorldStreamTest, RealtimePlayerIsToldOfADelayOnceAndItIsCounted) {
  OpenWorld open = Open();
  open.pacing = Pacing::kRealtime;
  Player player = NewPlayer();
  player.Say(open).Say(WorldCredit{1000});
  player.ReadBlocks(1);
  clock_.Advance(absl::Seconds(1));  // the lane does not get to it for so long
  player.ReadNotices(1);
  const WorldNotice& notice = player.got().notices[0];
  EXPECT_EQ(notice.kind, WorldNotice::Kind::kLate);
  EXPECT_EQ(notice.block, player.got().blocks.back().index);
  EXPECT_EQ(observer_.late_blocks, 1);
  EXPECT_GT(observer_.skipped_blocks, 0);
}

TEST_F(WorldStreamTest, RepeatPlaysTheSameActionsAgain) {
  WorldTranscript t = Run({Open(2), Act(1, {"W"}, 4), Act(2)});
  ASSERT_TRUE(t.end->status.ok()) << t.end->status;
  ASSERT_THAT(t.indices(), ElementsAre(0, 1, 2, 3, 4));
  ScriptedWorldReplay replay(options_, 2);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(t.blocks[i].frames, Frames(replay.Next(Held({0}))));
    EXPECT_EQ(t.blocks[i].applied_action_sequence, 1);
  }
  EXPECT_EQ(t.blocks[4].frames, Frames(replay.Next({})));
}

TEST_F(WorldStreamTest, MessagesOutOfOrderAreRefused) {
  EXPECT_EQ(Run({}).reason(), "OPEN_MISSING");
  EXPECT_EQ(Run({Act(1)}).reason(), "OPEN_MISSING");
  EXPECT_EQ(Run({WorldCredit{1}}).reason(), "OPEN_MISSING");
  EXPECT_EQ(Run({Open(), Open()}).reason(), "OPEN_REPEATED");
  ExpectUnharmed();
}

TEST_F(WorldStreamTest, BadOpenIsRefusedWithItsField) {
  struct Case {
    std::function<void(OpenWorld*)> spoil;
    std::string reason, field;
  };
  const auto create = [](OpenWorld* open) { return &std::get<CreateWorld>(open->origin); };
  const std::vector<Case> cases = {
      {[](auto* open) { open->model = "nope"; }, "MODEL_NOT_FOUND", "open.model"},
      {[](auto* open) { open->target_fps = std::nan(""); }, "OUT_OF_RANGE", "open.target_fps"},
      {[](auto* open) { open->target_fps = 241; }, "OUT_OF_RANGE", "open.target_fps"},
      {[](auto* open) { open->target_fps = -1; }, "OUT_OF_RANGE", "open.target_fps"},
      {[](auto* open) {
         open->video = ImageFormat::kJpeg;
         open->jpeg_quality = 101;
       },
       "OUT_OF_RANGE", "open.video.quality"},
      {[](auto* open) { open->audio.emplace().sample_rate_hertz = 44100; }, "NOT_SUPPORTED",
       "open.audio.sample_rate_hertz"},
      {[](auto* open) { open->max_idle_duration = absl::ZeroDuration(); }, "OUT_OF_RANGE",
       "open.limits.max_idle_duration"},
      {[&](auto* open) { create(open)->prompt = std::string(4097, 'a'); }, "TEXT_TOO_LONG",
       "open.create.prompt"},
  };
  for (const Case& c : cases) {
    OpenWorld open = Open();
    c.spoil(&open);
    WorldTranscript t = Run({open, Act(1)});
    EXPECT_EQ(t.reason(), c.reason);
    EXPECT_EQ(DetailOf(t.end->status).metadata["field"], c.field);
    EXPECT_FALSE(t.opened);
  }
  ExpectUnharmed();
}

TEST_F(WorldStreamTest, BadPicturesAreRefused) {
  for (const std::string& bytes :
       {std::string("no picture"), std::string(8 * 6 * 3 - 1, 'x'), std::string(5 << 20, 'x')}) {
    for (ImageFormat format : {ImageFormat::kRawRgb, ImageFormat::kJpeg, ImageFormat::kPng}) {
      OpenWorld open = Open();
      open.origin = CreateWorld{.initial_image = bytes, .initial_image_format = format};
      WorldTranscript t = Run({open});
      EXPECT_TRUE(absl::IsInvalidArgument(t.end->status)) << t.end->status;
    }
  }
  ExpectUnharmed();
}

TEST_F(WorldStreamTest, PictureAndPromptMakeTheScene) {
  const std::string picture(8 * 6 * 3, '\x42');
  OpenWorld open = Open(4);
  open.origin = CreateWorld{.seed = 4, .prompt = "night", .initial_image = picture};
  WorldTranscript t = Run({open, Act(1)});
  ASSERT_TRUE(t.end->status.ok()) << t.end->status;
  RawInput scene{.text = "night", .image = RgbImage{8, 6, {picture.begin(), picture.end()}}};
  EXPECT_EQ(t.blocks[0].frames, Frames(ScriptedWorldReplay(options_, 4, scene).Next({})));
}

TEST_F(WorldStreamTest, BadActionsEndTheStreamWithTheirField) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  struct Case {
    WorldActions actions;
    std::string reason, field;
  };
  for (const Case& c : std::vector<Case>{
           {Act(1, {"W", "X"}), "UNKNOWN_KEY", "actions.keys"},
           {{.sequence = 1, .pointer_dx = kNan}, "NOT_A_NUMBER", "actions.pointer_dx"},
           {{.sequence = 1, .pointer_dy = -kInf}, "NOT_A_NUMBER", "actions.pointer_dy"},
           {{.sequence = 1, .scroll = kNan}, "NOT_A_NUMBER", "actions.scroll"},
           {{.sequence = 1, .axes = {{"look_x", kNan}}}, "NOT_A_NUMBER", "actions.axes"},
           {{.sequence = 1, .axes = {{"look_x", 1.01}}}, "OUT_OF_RANGE", "actions.axes"},
           {{.sequence = 1, .axes = {{"nope", 0}}}, "UNKNOWN_AXIS", "actions.axes"},
           {{.sequence = 1, .repeat = 65}, "OUT_OF_RANGE", "actions.repeat"},
           {{.sequence = 1, .repeat = -1}, "OUT_OF_RANGE", "actions.repeat"},
           {{.sequence = 0}, "SEQUENCE_NOT_GROWING", "actions.sequence"},
       }) {
    Player player = NewPlayer();
    player.Say(Open()).Say(c.actions);
    WorldTranscript& t = player.ReadAll();
    EXPECT_EQ(t.reason(), c.reason);
    EXPECT_TRUE(absl::IsInvalidArgument(t.end->status));
    EXPECT_EQ(DetailOf(t.end->status).metadata["field"], c.field);
  }
  EXPECT_EQ(Run({Open(), Act(2), Act(2)}).reason(), "SEQUENCE_NOT_GROWING");
  ExpectUnharmed();
}

TEST_F(WorldStreamTest, UnknownKeyIsNamed) {
  WorldTranscript t = Run({Open(), Act(1, {"NITRO"})});
  EXPECT_THAT(std::string(t.end->status.message()), testing::HasSubstr("'NITRO'"));
}

TEST_F(WorldStreamTest, BadPromptsCreditAndControlsAreRefused) {
  EXPECT_EQ(Run({Open(), WorldPrompt{.embedding = {1, 2}}}).reason(), "OUT_OF_RANGE");
  EXPECT_EQ(Run({Open(), WorldPrompt{.embedding = {1, 2, 3, std::nanf("")}}}).reason(),
            "NOT_A_NUMBER");
  EXPECT_EQ(Run({Open(), WorldPrompt{.text = std::string(5000, 'x')}}).reason(), "TEXT_TOO_LONG");
  EXPECT_EQ(Run({Open(), WorldCredit{0}}).reason(), "OUT_OF_RANGE");
  EXPECT_EQ(Run({Open(), WorldCredit{1025}}).reason(), "OUT_OF_RANGE");
  ExpectUnharmed();
}

TEST_F(WorldStreamTest, PromptAppliesInItsPlaceAndIsNoticed) {
  WorldTranscript t = Run({Open(3), Act(1), WorldPrompt{.text = "early"},
                           WorldPrompt{.text = "night"}, Act(2), Act(3)});
  ASSERT_TRUE(t.end->status.ok()) << t.end->status;
  ScriptedWorldReplay replay(options_, 3);
  EXPECT_EQ(t.blocks[0].frames, Frames(replay.Next({})));
  replay.Prompt({.text = "night"});  // two at one boundary: the last is heard
  EXPECT_EQ(t.blocks[1].frames, Frames(replay.Next({})));
  EXPECT_EQ(t.blocks[2].frames, Frames(replay.Next({})));
  ASSERT_THAT(t.kinds(), ElementsAre(WorldNotice::Kind::kPromptApplied));
  EXPECT_EQ(t.notices[0].block, 1);
}

TEST_F(WorldStreamTest, PromptWaitsForItsBlock) {
  WorldTranscript t =
      Run({Open(3), WorldPrompt{.text = "later", .apply_at_block = 2},
           WorldPrompt{.embedding = {1, 2, 3, 4}, .apply_at_block = -5}, Act(1, {}, 4)});
  ASSERT_TRUE(t.end->status.ok()) << t.end->status;
  ScriptedWorldReplay replay(options_, 3);
  replay.Prompt({.embedding = {1, 2, 3, 4}});
  EXPECT_EQ(t.blocks[0].frames, Frames(replay.Next({})));
  EXPECT_EQ(t.blocks[1].frames, Frames(replay.Next({})));
  replay.Prompt({.text = "later"});
  EXPECT_EQ(t.blocks[2].frames, Frames(replay.Next({})));
  ASSERT_EQ(t.notices.size(), 2u);
  EXPECT_EQ(t.notices[0].block, 0);
  EXPECT_EQ(t.notices[1].block, 2);
}

TEST_F(WorldStreamTest, FloodOfScheduledPromptsIsRefused) {
  Player player = NewPlayer();
  player.Say(Open());
  for (int i = 0; i < 17; ++i) player.Say(WorldPrompt{.text = "p", .apply_at_block = 100 + i});
  EXPECT_EQ(player.ReadAll().reason(), "TOO_MANY_PROMPTS");
  ExpectUnharmed();
}

TEST_F(WorldStreamTest, ResetGoesBackToTheOriginButNotInTime) {
  WorldTranscript t = Run({Open(6), Act(1, {"W"}), WorldControl::kReset, Act(2, {"S"})});
  ASSERT_TRUE(t.end->status.ok()) << t.end->status;
  ScriptedWorldReplay replay(options_, 6);
  replay.Next(Held({0}));
  replay.Reset();
  EXPECT_EQ(t.blocks[1].frames, Frames(replay.Next(Held({2}))));
  EXPECT_EQ(t.blocks[1].index, 1);
  EXPECT_EQ(t.blocks[1].presentation_offset, absl::Milliseconds(100));
}

TEST_F(WorldStreamTest, PauseHoldsActionsUntilResume) {
  Player player = NewPlayer();
  player.Say(Open()).Say(Act(1)).Say(WorldControl::kPause).Say(Act(2)).Say(WorldControl::kSnapshot);
  player.ReadNotices(1);
  EXPECT_THAT(player.got().kinds(), ElementsAre(WorldNotice::Kind::kPaused));
  EXPECT_THAT(player.got().indices(), ElementsAre(0));
  player.Say(WorldControl::kResume);
  player.ReadSnapshots(1);
  EXPECT_THAT(player.got().indices(), ElementsAre(0, 1));
  EXPECT_EQ(player.got().snapshots[0].block, 2);
}

TEST_F(WorldStreamTest, CreditBoundsWhatIsMadeAhead) {
  Player player = NewPlayer();
  player.Say(Open()).Say(Act(1, {}, 20));
  player.ReadBlocks(5);  // the first four, and one for the action
  for (int i = 0; i < 50; ++i) engine_->lane(0).Wake();
  player.Drain();
  EXPECT_EQ(player.got().blocks.size(), 5u);
  player.Say(WorldCredit{3});
  player.ReadBlocks(8);
  player.Drain();
  EXPECT_EQ(player.got().blocks.size(), 8u);
  player.stream().HalfClose();  // no more credit can come
  EXPECT_EQ(player.ReadAll().blocks.size(), 20u);
  EXPECT_TRUE(player.got().end->status.ok());
}

TEST_F(WorldStreamTest, CreditNeverGivenEndsByTheIdleLimit) {
  Player player = NewPlayer();
  OpenWorld open = Open();
  open.pacing = Pacing::kFreeRun;
  open.max_idle_duration = absl::Seconds(10);
  player.Say(open);
  player.ReadBlocks(4);
  clock_.Advance(absl::Seconds(11));
  engine_->lane(0).Wake();
  EXPECT_EQ(player.ReadAll().reason(), "IDLE");
  EXPECT_TRUE(absl::IsDeadlineExceeded(player.got().end->status));
  EXPECT_EQ(player.got().blocks.size(), 4u);
  ExpectUnharmed();
}

TEST_F(WorldStreamTest, SessionEndsAfterItsTime) {
  Player player = NewPlayer();
  OpenWorld open = Open();
  open.max_session_duration = absl::Seconds(5);
  player.Say(open).Say(Act(1));
  player.ReadBlocks(1);
  clock_.Advance(absl::Seconds(5));
  engine_->lane(0).Wake();
  player.ReadAll();
  EXPECT_TRUE(player.got().end->status.ok()) << player.got().end->status;
  EXPECT_EQ(player.got().summary->reason, WorldSummary::Reason::kMaxDuration);
}

TEST_F(WorldStreamTest, JpegPngAndOpusAreCodedOffTheLane) {
  for (ImageFormat format : {ImageFormat::kJpeg, ImageFormat::kPng}) {
    OpenWorld open = Open(1);
    open.video = format;
    open.audio = AudioFormat{.encoding = AudioEncoding::kOpus, .sample_rate_hertz = 0};
    WorldTranscript t = Run({open, Act(1, {}, 10)});
    ASSERT_TRUE(t.end->status.ok()) << t.end->status;
    ASSERT_EQ(t.blocks.size(), 10u);
    for (const WorldBlock& block : t.blocks) {
      ASSERT_EQ(block.frames.size(), 2u);
      EXPECT_EQ(SniffImageFormat(block.frames[0]), format);
    }
    auto picture = DecodeImage(t.blocks[0].frames[0], format);
    EXPECT_EQ(picture->width, 8);
    absl::Duration sound;
    for (const SpeechAudio& audio : t.audio) sound += audio.duration();
    EXPECT_EQ(sound, absl::Seconds(1));
  }
}

TEST_F(WorldStreamTest, AdmissionCountsWhatEncodersTake) {
  std::vector<std::vector<std::unique_ptr<Model>>> lanes(1);
  lanes[0].push_back(MakeScriptedWorld());
  const auto engine = *Engine::Create(std::move(lanes), {});  // measured on the real clock
  auto load_of = [&](ImageFormat video, std::optional<AudioFormat> audio = std::nullopt) {
    std::promise<void> go;  // until then it is admitted, and no step is made for it
    ThreadPool held(1, "held");
    held.Post([&go] { go.get_future().wait(); });
    StreamContext context = context_;
    context.engine = engine.get();
    context.pool = &held;
    Player player(context);
    OpenWorld open = Open();
    open.video = video;
    open.audio = audio;
    player.Say(open);
    const double load = engine->admission().load(0);
    player.stream().Cancel();
    go.set_value();
    player.ReadAll();
    while (engine->admission().usage(0).used > 0) std::this_thread::yield();
    return load;
  };
  const double raw = load_of(ImageFormat::kRawRgb);
  const AudioFormat opus{.encoding = AudioEncoding::kOpus, .sample_rate_hertz = 0};
  EXPECT_GT(load_of(ImageFormat::kJpeg), raw);
  EXPECT_GT(load_of(ImageFormat::kPng), raw);
  EXPECT_GT(load_of(ImageFormat::kRawRgb, opus), raw);
}

TEST_F(WorldStreamTest, PoisonedSessionEndsAloneAndIsNotParked) {
  Make({.poison_key = "A"});
  Player other = NewPlayer();
  other.Say(Open(5)).Say(Act(1));
  WorldTranscript t = Run({Open(), Act(1, {"A"})});
  EXPECT_EQ(t.reason(), "SCRIPTED_FAILURE");
  EXPECT_EQ(store_->counts().parked, 0);
  other.stream().HalfClose();
  EXPECT_TRUE(other.ReadAll().end->status.ok());
  ExpectUnharmed();
}

TEST_F(WorldStreamTest, LostDeviceEndsEverySessionUnavailable) {
  std::atomic<bool> lost{false};
  Make({.on_step = [&](Stage, int) {
    return lost ? absl::InternalError("gone") : absl::OkStatus();
  }});
  Player a = NewPlayer(), b = NewPlayer();
  a.Say(Open()).Say(Act(1));
  b.Say(Open()).Say(Act(1));
  a.ReadBlocks(1);
  b.ReadBlocks(1);
  lost = true;
  a.Say(Act(2));
  EXPECT_EQ(a.ReadAll().reason(), "DEVICE_LOST");
  EXPECT_EQ(b.ReadAll().reason(), "DEVICE_LOST");
  EXPECT_EQ(store_->counts().parked, 0);
}

TEST_F(WorldStreamTest, NoSlotIsRefusedAtOnce) {
  Make({.slots = 1});
  Player first = NewPlayer();
  first.Say(Open());
  first.ReadOpened();
  EXPECT_EQ(Run({Open()}).reason(), "NO_SLOT");
  first.stream().HalfClose();
  EXPECT_TRUE(first.ReadAll().end->status.ok());
}

TEST_F(WorldStreamTest, FailedPreparationIsTheStreamsAnswer) {
  Make({.on_prepare = [](const RawInput& input) {
    return input.text == "bad" ? Error(absl::StatusCode::kInvalidArgument, "BAD_PROMPT", "bad")
                               : absl::OkStatus();
  }});
  OpenWorld open = Open();
  open.origin = CreateWorld{.prompt = "bad"};
  EXPECT_EQ(Run({open}).reason(), "BAD_PROMPT");
  EXPECT_EQ(Run({Open(), WorldPrompt{.text = "bad"}, Act(1)}).reason(), "BAD_PROMPT");
  ExpectUnharmed();
}

TEST_F(WorldStreamTest, TooMuchSentAheadHoldsTheReaderBackThenIsRefused) {
  Player player = NewPlayer();
  player.Say(Open());
  player.ReadOpened();
  player.transport().AwaitReader(player.stream());
  player.Say(WorldControl::kPause);
  player.ReadNotices(1);
  int64_t sequence = 0;
  for (int i = 0; i < WorldInbox::kMost; ++i) player.Say(Act(++sequence));
  EXPECT_TRUE(player.stream().ReadyForMore()) << "RESUME must be heard";
  player.Say(Act(++sequence));
  EXPECT_EQ(player.ReadAll().reason(), "TOO_MANY_MESSAGES");
  ExpectUnharmed();
}

TEST_F(WorldStreamTest, PlayerWhoReadsNothingIsNotReadFromForEver) {
  Player player = NewPlayer();
  player.Say(Open());
  player.ReadOpened();
  player.transport().AwaitReader(player.stream());
  for (int i = 0; i < 1024; ++i) {
    EXPECT_TRUE(player.stream().ReadyForMore());
    player.stream().Draining(absl::Seconds(1));
  }
  EXPECT_FALSE(player.stream().ReadyForMore());
  player.ReadNotices(1);
  player.transport().AwaitReader(player.stream());
  player.stream().HalfClose();
  EXPECT_EQ(player.ReadAll().notices.size(), 1024u);
}

TEST_F(WorldStreamTest, CancelAtAnyMomentEndsOnceAndFreesTheSlot) {
  for (int i = 0; i < 40; ++i) {
    Player player = NewPlayer();
    player.Say(Open()).Say(Act(1, {}, 4)).Say(WorldPrompt{.text = "x"}).Say(Act(2, {}, 4));
    for (int read = 0; read < i / 5; ++read) player.ReadBlocks(read);
    std::thread canceller([&] { player.stream().Cancel(); });
    player.ReadAll();
    canceller.join();
  }
  AwaitFreeSlots();
  EXPECT_EQ(observer_.ended, 40);
  ExpectUnharmed();
}

TEST_F(WorldStreamTest, SlowReaderHoldsOnlyItsOwnBlocks) {
  Make({.width = 64, .height = 64, .frames_per_block = 4});  // 48 KiB a block
  Player slow = NewPlayer();
  slow.Say(Open()).Say(WorldCredit{100}).Say(Act(1, {}, 64));
  WorldTranscript other = Run({Open(), Act(1, {}, 20)});
  EXPECT_EQ(other.blocks.size(), 20u);
  EXPECT_LE(observer_.outbox_bytes, 256 << 10);
  slow.stream().HalfClose();
  EXPECT_EQ(slow.ReadAll().blocks.size(), 64u);
}

}  // namespace
}  // namespace firstbyte

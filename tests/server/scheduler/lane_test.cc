#include "server/scheduler/lane.h"

#include <atomic>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/scripted.h"
#include "tests/server/scheduler/device_model.h"
#include "tests/server/scheduler/recording_port.h"

namespace firstbyte {
namespace {

using Slots = std::vector<std::vector<int>>;

// A lane driven by RunOnce() under a fake clock. Each step takes a millisecond.
class LaneTest : public testing::Test {
 protected:
  void Make(ScriptedOptions options = {}) {
    auto inject = options.on_step;
    options.on_step = [this, inject](Stage stage, int batch) {
      clock_.Advance(absl::Milliseconds(1));
      batches_.push_back(batch);
      return inject ? inject(stage, batch) : absl::OkStatus();
    };
    auto model = MakeScriptedModel(options);
    model_ = model.get();
    ledger_ = std::make_unique<AdmissionLedger>(Slots{{model_->info().slots}});
    lane_ = std::make_unique<Lane>(
        1, LaneOptions{
               .clock = &clock_,
               .watchers = {watcher_},
               .on_catching_up =
                   [this](absl::Span<const int> by_model) { catching_up_.push_back(by_model[0]); },
               .on_device_lost = [this](const absl::Status&) { ++device_lost_; }});
    lane_->Add(0, std::move(model), {});
  }

  Lane::SessionId Open(const std::shared_ptr<RecordingPort>& port, uint64_t seed = 1) {
    return lane_->Open(
        {.spec = {.seed = seed}, .max_lead = max_lead_, .port = port, .seat = *ledger_->Admit({})});
  }

  void Say(Lane::SessionId id, const std::string& text) {
    lane_->Push(id, *model_->Prepare({text}), std::make_shared<RawInput>(RawInput{.text = text}));
  }

  void Speak(Lane::SessionId id, const std::string& text) {
    Say(id, text);
    lane_->Push(id, EndOfInput{});
  }

  void RunUntilIdle() {
    while (lane_->RunOnce() == absl::ZeroDuration()) {
    }
  }

  FakeClock clock_;
  absl::Duration max_lead_ = absl::Seconds(60);
  std::unique_ptr<AdmissionLedger> ledger_;
  std::vector<int> batches_;
  std::vector<int> catching_up_;
  int device_lost_ = 0;
  LaneWatcher* watcher_ = nullptr;
  std::unique_ptr<Lane> lane_;
  Model* model_ = nullptr;  // the lane's
};

TEST_F(LaneTest, SpeaksAndGivesSlotAndSeatBack) {
  Make({.slots = 1});
  for (int i = 0; i < 3; ++i) {
    auto port = std::make_shared<RecordingPort>();
    Speak(Open(port), "hello");
    RunUntilIdle();
    EXPECT_EQ(port->ended, 1);
    EXPECT_TRUE(port->status.ok()) << port->status;
    EXPECT_EQ(port->samples, ScriptedSamples("hello", 1));
    EXPECT_EQ(port->clauses_begun, 1);
    EXPECT_EQ(ledger_->usage(0).used, 0);
  }
}

TEST_F(LaneTest, StreamsShareStepsAndKeepTheirOwnAudio) {
  Make();
  std::vector<std::shared_ptr<RecordingPort>> ports;
  for (int i = 0; i < 8; ++i) {
    ports.push_back(std::make_shared<RecordingPort>());
    Speak(Open(ports.back(), i), "batched");
  }
  RunUntilIdle();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(ports[i]->samples, ScriptedSamples("batched", i));
  EXPECT_THAT(batches_, testing::Each(8));
  EXPECT_EQ(ports[0]->times.mean_batch_size(), 8);
}

TEST_F(LaneTest, ReservesRoomForWhatItDecodes) {
  Make();
  auto port = std::make_shared<RecordingPort>();
  Speak(Open(port), "abc");
  RunUntilIdle();
  EXPECT_EQ(port->reserved, 3);
}

TEST_F(LaneTest, FullOutboxPausesOneStreamAlone) {
  Make();
  auto stuck = std::make_shared<RecordingPort>(), fine = std::make_shared<RecordingPort>();
  stuck->room_frames = 0;
  Speak(Open(stuck), "stuck");
  Speak(Open(fine), "fine");
  RunUntilIdle();
  EXPECT_EQ(fine->ended, 1);
  EXPECT_EQ(stuck->ended, 0);
  EXPECT_TRUE(stuck->samples.empty());
  stuck->room_frames = 16;
  RunUntilIdle();
  EXPECT_EQ(stuck->samples, ScriptedSamples("stuck", 1));
}

TEST_F(LaneTest, SaysHowManyCatchUpWhenThatChanges) {
  Make();
  auto one = std::make_shared<RecordingPort>(), other = std::make_shared<RecordingPort>();
  for (const auto& port : {one, other}) Speak(Open(port), std::string(10'000, 'a'));
  auto run = [&](absl::Duration lead, absl::Duration others) {
    for (int i = 0; i < 100; ++i) {
      one->lead = lead;
      other->lead = others;
      EXPECT_EQ(lane_->RunOnce(), absl::ZeroDuration());
    }
  };
  run(absl::Milliseconds(100), absl::Milliseconds(100));
  EXPECT_EQ(catching_up_.back(), 2);
  run(absl::Milliseconds(100), absl::Seconds(3));
  EXPECT_EQ(catching_up_.back(), 1);
  run(absl::Seconds(3), absl::Seconds(3));
  EXPECT_EQ(catching_up_.back(), 0);
  EXPECT_LE(catching_up_.size(), 4u) << "not each time";
}

TEST_F(LaneTest, PausesAtMaxLeadUntilTheListenerCatchesUp) {
  max_lead_ = absl::Seconds(2);
  Make();
  auto port = std::make_shared<RecordingPort>();
  Speak(Open(port), std::string(100, 'a'));  // 4 s
  RunUntilIdle();
  EXPECT_EQ(port->ended, 0);
  EXPECT_EQ(port->lead, absl::Seconds(2));
  port->lead = absl::Milliseconds(100);
  RunUntilIdle();
  port->lead = absl::ZeroDuration();
  RunUntilIdle();
  EXPECT_EQ(port->ended, 1);
  EXPECT_EQ(port->samples.size(), 100u * 640);
}

TEST_F(LaneTest, PausedStreamThatJoinsAStepFillsUpInLargeChunks) {
  max_lead_ = absl::Seconds(4);
  Make();
  auto ahead = std::make_shared<RecordingPort>(), late = std::make_shared<RecordingPort>();
  Speak(Open(ahead), std::string(200, 'a'));
  RunUntilIdle();
  ahead->lead -= absl::Milliseconds(400);  // not enough missing to wake by itself
  RunUntilIdle();
  const size_t before = ahead->samples.size();
  const int chunks_before = ahead->chunks;
  ASSERT_EQ(before, 100u * 640);
  Speak(Open(late), "b");
  RunUntilIdle();
  EXPECT_EQ(ahead->samples.size() - before, 10u * 640);
  EXPECT_EQ(ahead->chunks - chunks_before, 1) << "one chunk, not one a frame";
}

TEST_F(LaneTest, PauseIsNotRunningTime) {
  max_lead_ = absl::Seconds(2);
  Make();
  auto port = std::make_shared<RecordingPort>();
  Speak(Open(port), std::string(100, 'a'));
  RunUntilIdle();
  clock_.Advance(absl::Hours(1));
  port->lead = absl::ZeroDuration();
  RunUntilIdle();
  ASSERT_EQ(port->ended, 1);
  EXPECT_EQ(port->times.running, absl::Milliseconds(1) * static_cast<int64_t>(batches_.size()));
}

TEST_F(LaneTest, CancelFreesTheSlotWithinOneStep) {
  Make({.slots = 1});
  auto port = std::make_shared<RecordingPort>();
  auto id = Open(port);
  Speak(id, "cancelled");
  lane_->RunOnce();
  lane_->Close(id);
  lane_->RunOnce();
  EXPECT_EQ(port->ended, 1);
  EXPECT_TRUE(absl::IsCancelled(port->status));
  EXPECT_EQ(ledger_->usage(0).used, 0);
  lane_->Push(id, Marker{"late"});  // what was on its way is ignored
  RunUntilIdle();
  EXPECT_EQ(port->ended, 1);
}

TEST_F(LaneTest, OneSessionsFailureIsItsOwn) {
  Make({.poison_letter = 'x'});
  auto bad = std::make_shared<RecordingPort>(), good = std::make_shared<RecordingPort>();
  Speak(Open(bad), "abxab");
  Speak(Open(good), "abcab");
  RunUntilIdle();
  EXPECT_EQ(DetailOf(bad->status).reason, "SCRIPTED_FAILURE");
  EXPECT_EQ(good->samples, ScriptedSamples("abcab", 1));
  EXPECT_EQ(ledger_->usage(0).used, 0);
}

TEST_F(LaneTest, BatchThatDoesNotFitIsRetriedSmaller) {
  Make({.on_step = [](Stage, int batch) {
    return batch > 2 ? absl::ResourceExhaustedError("memory") : absl::OkStatus();
  }});
  std::vector<std::shared_ptr<RecordingPort>> ports;
  for (int i = 0; i < 5; ++i) {
    ports.push_back(std::make_shared<RecordingPort>());
    Speak(Open(ports.back()), "smaller");
  }
  RunUntilIdle();
  for (auto& port : ports) EXPECT_EQ(port->samples, ScriptedSamples("smaller", 1));
  EXPECT_EQ(device_lost_, 0);
}

TEST_F(LaneTest, DeviceLossEndsEverySessionAndIsReportedOnce) {
  Make({.on_step = [](Stage stage, int) {
    return stage == Stage::kDecode ? absl::InternalError("gone") : absl::OkStatus();
  }});
  auto a = std::make_shared<RecordingPort>(), b = std::make_shared<RecordingPort>();
  Speak(Open(a), "a");
  Speak(Open(b), "b");
  RunUntilIdle();
  EXPECT_EQ(DetailOf(a->status).reason, "DEVICE_LOST");
  EXPECT_EQ(DetailOf(b->status).reason, "DEVICE_LOST");
  EXPECT_EQ(device_lost_, 1);
}

TEST_F(LaneTest, SlotWithoutTextIsGivenBack) {
  Make();
  auto port = std::make_shared<RecordingPort>();
  Open(port);
  EXPECT_EQ(lane_->RunOnce(), absl::Seconds(60));
  clock_.Advance(absl::Seconds(60));
  lane_->RunOnce();
  EXPECT_EQ(DetailOf(port->status).reason, "IDLE");
  EXPECT_EQ(ledger_->usage(0).used, 0);
}

TEST_F(LaneTest, MarkersComeInTheirPlace) {
  Make();
  auto port = std::make_shared<RecordingPort>();
  auto id = Open(port);
  Say(id, "ab");
  lane_->Push(id, Marker{"one"});
  RunUntilIdle();
  EXPECT_THAT(port->markers, testing::ElementsAre("one"));
  EXPECT_EQ(port->samples.size(), 2u * 640);
  Say(id, "c");
  lane_->Push(id, Marker{"two"});
  lane_->Push(id, EndOfInput{});
  RunUntilIdle();
  EXPECT_THAT(port->markers, testing::ElementsAre("one", "two"));
}

TEST_F(LaneTest, WarmUpLeavesNothingBehind) {
  Make({.slots = 4, .max_batch = 4});
  ASSERT_TRUE(WarmUp(model_, clock_, absl::Milliseconds(8)).ok());
  EXPECT_THAT(batches_, testing::Contains(1));
  EXPECT_THAT(batches_, testing::Contains(4));
  std::vector<std::shared_ptr<RecordingPort>> ports;
  for (int i = 0; i < 4; ++i) {  // every slot is free again
    ports.push_back(std::make_shared<RecordingPort>());
    Speak(Open(ports.back()), "free");
  }
  RunUntilIdle();
  for (auto& port : ports) EXPECT_TRUE(port->status.ok()) << port->status;
}

// One word for each thing that a lane told.
class Story : public LaneWatcher {
 public:
  void OnOpen(uint64_t id, int model, const SessionSpec& spec, const RawInput* said) override {
    told.push_back(
        absl::StrCat("open ", id, " of ", model, " with seed ", spec.seed, said ? "!" : ""));
  }
  void OnPush(uint64_t id, const Input& input, const RawInput* said) override {
    told.push_back(absl::StrCat("push ", id, " ", said ? said->text : absl::StrCat(input.index())));
  }
  void OnSubmit(const LaneStep& step) override {
    told.push_back(absl::StrCat("submit ", std::string(StageName(step.stage)), " for ",
                                absl::StrJoin(step.sessions, "+")));
  }
  void OnStep(const LaneStep& step, const absl::Status& status) override {
    told.push_back(absl::StrCat(std::string(StageName(step.stage)), " ", step.frames, " for ",
                                absl::StrJoin(step.sessions, "+"), status.ok() ? "" : " failed"));
    took += step.end - step.begin;
  }
  void OnStepTold() override { ++steps_told; }
  void OnMedia(uint64_t id, const Output& output) override {
    told.push_back(absl::StrCat("media ", id, " ", output.samples.size()));
  }
  void OnEnd(uint64_t id, const absl::Status& status) override {
    told.push_back(absl::StrCat("end ", id, status.ok() ? "" : " badly"));
  }
  std::vector<std::string> told;
  absl::Duration took;
  int steps_told = 0;
};

TEST_F(LaneTest, AWatcherSeesAllThatGoesInAndOutInOrder) {
  Story story;
  watcher_ = &story;
  Make({.on_step = [](Stage, int batch) {
    return batch > 1 ? absl::ResourceExhaustedError("memory") : absl::OkStatus();
  }});
  auto a = std::make_shared<RecordingPort>(), b = std::make_shared<RecordingPort>();
  Speak(Open(a, 7), "a");
  Say(Open(b, 8), "b");
  RunUntilIdle();
  lane_->Close(2);
  RunUntilIdle();
  ASSERT_EQ(story.told.size(), 16u);
  EXPECT_THAT(std::vector<std::string>(story.told.begin(), story.told.begin() + 5),
              testing::ElementsAre("open 1 of 0 with seed 7", "push 1 a", "push 1 2",
                                   "open 2 of 0 with seed 8", "push 2 b"));
  EXPECT_THAT(story.told[5], testing::MatchesRegex("prefill 0 for .\\+. failed"));
  EXPECT_THAT(story.told,
              testing::IsSupersetOf({"prefill 0 for 1", "generate 0 for 1", "decode 1 for 1",
                                     "media 1 640", "end 1", "prefill 0 for 2", "generate 0 for 2",
                                     "decode 1 for 2", "media 2 640"}));
  EXPECT_EQ(story.told.back(), "end 2 badly");
  EXPECT_EQ(story.took, absl::Milliseconds(7));
  EXPECT_EQ(story.steps_told, 6);
  watcher_ = nullptr;
}

TEST_F(LaneTest, AStreamIsToldWhatItsSessionIsDoing) {
  max_lead_ = absl::Seconds(2);
  Make();
  auto port = std::make_shared<RecordingPort>();
  auto id = Open(port);
  Say(id, std::string(60, 'a'));  // 2.4 s
  RunUntilIdle();
  port->lead = absl::ZeroDuration();  // it was played
  RunUntilIdle();
  using Standing = StreamPort::Standing;
  EXPECT_THAT(port->standings, testing::ElementsAre(Standing::kRunning, Standing::kPaused,
                                                    Standing::kRunning, Standing::kWaiting));
}

TEST_F(LaneTest, DestructionEndsWhatIsOpen) {
  Make();
  auto port = std::make_shared<RecordingPort>();
  Speak(Open(port), "never");
  lane_.reset();
  EXPECT_EQ(port->ended, 1);
  EXPECT_TRUE(absl::IsCancelled(port->status));
}

// With its own thread: many threads open, push and cancel at once (for the tsan preset).
void OpenSpeakAndCancelFromManyThreads(std::unique_ptr<Model> model) {
  class CountingPort : public RecordingPort {
   public:
    explicit CountingPort(std::atomic<int>* ended) : ended_total(ended) {}
    void Ended(absl::Status s, const StageTimes& t) override {
      RecordingPort::Ended(std::move(s), t);
      ++*ended_total;
    }
    std::atomic<int>* ended_total;
  };
  const Model& shared = *model;
  AdmissionLedger ledger(Slots{{64}});
  std::atomic<int> ended{0};
  {
    Lane lane(1, {});
    lane.Add(0, std::move(model), {});
    lane.Start();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 25; ++i) {
          auto seat = ledger.Admit({});
          if (!seat.ok()) {
            ++ended;
            continue;
          }
          auto id = lane.Open({.max_lead = absl::Seconds(60),
                               .port = std::make_shared<CountingPort>(&ended),
                               .seat = *std::move(seat)});
          lane.Push(id, *shared.Prepare({"threads"}));
          if ((t + i) % 3 == 0) lane.Close(id);
          lane.Push(id, EndOfInput{});
          lane.Wake();
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
  EXPECT_EQ(ended, 100);
  EXPECT_EQ(ledger.usage(0).used, 0);
}

TEST(LaneThread, ManyThreadsOpenSpeakAndCancel) {
  OpenSpeakAndCancelFromManyThreads(MakeScriptedModel({.slots = 64}));
}

TEST(LaneThread, ManyThreadsOpenSpeakAndCancelWhileStepsAreUnderWay) {
  FakeClock clock;
  FakeDevice device(&clock);
  OpenSpeakAndCancelFromManyThreads(
      std::make_unique<DeviceModel>(MakeScriptedModel({.slots = 64}), &device));
}

}  // namespace
}  // namespace firstbyte

// The flight recorder and the replay of what it holds, on the scripted models.
#include <algorithm>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/scripted.h"
#include "model/scripted_world.h"
#include "server/scheduler/flight_recorder.h"
#include "server/scheduler/lane.h"
#include "server/scheduler/replay.h"
#include "tests/server/scheduler/device_model.h"
#include "tests/server/scheduler/recording_port.h"

namespace firstbyte {
namespace {

using testing::HasSubstr;
using testing::SizeIs;
using Result = ReplayedSession::Result;

constexpr int kVoice = 0, kWorld = 1;

// A player of the scripted world who holds one key for a few blocks, after a prompt.
class PlayerPort : public RecordingPort {
 public:
  PlayerPort(const Model* world, int blocks) : world_(*world), blocks_(blocks) {}
  State state(absl::Time) override {
    return {.block_start = absl::InfinitePast(), .block_due = absl::InfinitePast()};
  }
  BlockPlan BeginBlock(absl::Time) override {
    BlockPlan plan;
    if (begun_ == 2) {
      plan.said = {{.text = "rain"}};
      plan.inputs.emplace_back(ResetWorld{});
      plan.inputs.emplace_back(*world_.Prepare(plan.said[0]));
    }
    BlockActions actions;
    actions.keys[begun_ % 2] = true;
    if (begun_++ == blocks_) {
      plan.inputs.emplace_back(EndOfInput{});
    } else {
      plan.inputs.emplace_back(std::move(actions));
    }
    return plan;
  }
  void DeliverBlock(Output output, const StageTimes&) override {
    blocks.push_back(std::move(output));
  }
  std::vector<Output> blocks;

 private:
  const Model& world_;
  const int blocks_;
  int begun_ = 0;
};

std::vector<std::unique_ptr<Model>> Models() {
  std::vector<std::unique_ptr<Model>> models;
  models.push_back(MakeScriptedModel());
  models.push_back(MakeScriptedWorld());
  return models;
}

class FlightTest : public testing::Test {
 protected:
  void Make(FlightOptions options = {.inputs = true}) { MakeOf(Models(), options); }
  void MakeOf(std::vector<std::unique_ptr<Model>> models, FlightOptions options) {
    ledger_ = std::make_unique<AdmissionLedger>(std::vector<std::vector<int>>{{64}, {64}});
    recorder_ = std::make_unique<FlightRecorder>(
        3, std::vector<const ModelInfo*>{&models[0]->info(), &models[1]->info()}, options, &clock_);
    lane_ = std::make_unique<Lane>(2, LaneOptions{.clock = &clock_, .watchers = {recorder_.get()}});
    for (int i : {kVoice, kWorld}) {
      models_[i] = models[i].get();
      lane_->Add(i, std::move(models[i]), {});
    }
  }

  Lane::SessionId Open(uint64_t seed, const std::shared_ptr<RecordingPort>& port) {
    return lane_->Open({.spec = {.seed = seed},
                        .max_lead = absl::Minutes(1),
                        .port = port,
                        .seat = *ledger_->Admit({.model = kVoice})});
  }
  void Say(Lane::SessionId id, const std::string& text) {
    lane_->Push(id, *models_[kVoice]->Prepare({text}),
                std::make_shared<RawInput>(RawInput{.text = text}));
  }
  void Play(uint64_t seed, const std::shared_ptr<RecordingPort>& port) {
    const RawInput said{.text = "a street"};
    lane_->Open({.spec = {.seed = seed, .scene = *models_[kWorld]->Prepare(said)},
                 .port = port,
                 .seat = *ledger_->Admit({.model = kWorld}),
                 .said = std::make_shared<RawInput>(said)});
  }
  void RunUntilIdle() {
    while (lane_->RunOnce() == absl::ZeroDuration()) {
    }
  }
  // Three voices that share steps, one of which is cancelled and one left open, and a player.
  void Live() {
    auto voice = [] { return std::make_shared<RecordingPort>(); };
    const auto first = Open(1, voice()), second = Open(2, voice()), third = Open(3, voice());
    Play(4, std::make_shared<PlayerPort>(models_[kWorld], 4));
    Say(first, "hello there");
    Say(second, "good morning to everyone");
    for (int i = 0; i < 60; ++i) lane_->RunOnce();
    lane_->Close(second);
    lane_->Push(first, Marker{"m"});
    Say(first, "once more");
    lane_->Push(first, EndOfInput{});
    Say(third, "open");
    RunUntilIdle();
  }

  static std::vector<ReplayedSession> Replayed(const std::string& text) {
    auto logs = ParseFlightLogs(text);
    EXPECT_TRUE(logs.ok()) << logs.status();
    auto sessions = Replay(logs->at(0), Models());
    EXPECT_TRUE(sessions.ok()) << sessions.status();
    return *sessions;
  }

  std::vector<std::unique_ptr<Model>> OnADevice() {
    auto models = Models();
    for (auto& model : models) model = std::make_unique<DeviceModel>(std::move(model), &device_);
    return models;
  }

  FakeClock clock_;
  FakeDevice device_{&clock_};
  std::unique_ptr<AdmissionLedger> ledger_;
  std::unique_ptr<FlightRecorder> recorder_;
  std::unique_ptr<Lane> lane_;
  const Model* models_[2] = {};  // the lane's
};

TEST_F(FlightTest, ALogMakesTheSameBytesAgain) {
  Make();
  Live();
  const auto sessions = Replayed(ToText(recorder_->Take()));
  ASSERT_THAT(sessions, SizeIs(4));
  for (const ReplayedSession& session : sessions) {
    EXPECT_EQ(session.result, Result::kSame) << session.session << ": " << session.why;
    EXPECT_EQ(session.replayed, session.recorded);
    EXPECT_GT(session.media_bytes, 0) << session.session;
  }
  EXPECT_EQ(sessions.back().session, 3u) << "the one that is still open comes last";
}

TEST_F(FlightTest, ALogOfStepsThatOverlapSaysWhenEachWasSubmittedAndMakesTheSameBytesAgain) {
  MakeOf(OnADevice(), {.inputs = true});
  Live();
  const std::string text = ToText(recorder_->Take());
  EXPECT_THAT(text, HasSubstr("\"submit\""));
  auto logs = ParseFlightLogs(text);
  ASSERT_TRUE(logs.ok()) << logs.status();
  EXPECT_EQ(ToText(logs->at(0)), text);
  // Also on a model that runs one step at a time.
  for (const bool device : {true, false}) {
    const auto models = device ? OnADevice() : Models();
    auto sessions = Replay(logs->at(0), models);
    ASSERT_TRUE(sessions.ok()) << sessions.status();
    ASSERT_THAT(*sessions, SizeIs(4));
    for (const ReplayedSession& session : *sessions) {
      EXPECT_EQ(session.result, Result::kSame) << session.session << ": " << session.why;
      EXPECT_GT(session.media_bytes, 0) << session.session;
    }
  }
}

TEST_F(FlightTest, AnotherInputMakesOtherBytes) {
  Make();
  Live();
  const std::string text = ToText(recorder_->Take());
  const std::pair<const char*, const char*> changes[] = {
      {"hello there", "hellp there"},             // a clause
      {"\"keys\":[0]", "\"keys\":[3]"},           // actions
      {"\"seed\":3,", "\"seed\":30,"},            // a seed
      {"\"text\":\"rain\"", "\"text\":\"fog\""},  // a prompt
  };
  for (const auto& [from, to] : changes) {
    const auto sessions = Replayed(absl::StrReplaceAll(text, {{from, to}}));
    const auto differing = std::count_if(sessions.begin(), sessions.end(), [](const auto& s) {
      return s.result == Result::kDiffers;
    });
    EXPECT_EQ(differing, 1) << from;
  }
}

TEST_F(FlightTest, WithoutInputsNothingThatWasSaidIsKept) {
  Make({.inputs = false});
  Live();
  const std::string text = ToText(recorder_->Take());
  for (const char* secret : {"hello", "street", "rain", "keys"}) {
    EXPECT_THAT(text, testing::Not(HasSubstr(secret)));
  }
  EXPECT_THAT(text, HasSubstr("generate"));
  for (const ReplayedSession& session : Replayed(text)) {
    EXPECT_EQ(session.result, Result::kNotReplayed);
    EXPECT_EQ(session.why, "its inputs were not kept");
    EXPECT_THAT(session.recorded, SizeIs(64));
  }
}

TEST_F(FlightTest, OldEventsMakeRoomAndWhatBeganBeforeIsNotReplayed) {
  Make({.max_bytes = 16 << 10, .inputs = true});
  Say(Open(1, std::make_shared<RecordingPort>()), std::string(400, 'a'));
  RunUntilIdle();
  const auto late = Open(2, std::make_shared<RecordingPort>());
  Say(late, "late");
  lane_->Push(late, EndOfInput{});
  RunUntilIdle();
  const FlightLog log = recorder_->Take();
  EXPECT_GT(log.dropped, 0);
  EXPECT_LT(log.events.size(), 250u);
  const auto sessions = Replayed(ToText(log));
  ASSERT_THAT(sessions, SizeIs(2));
  EXPECT_EQ(sessions[0].session, late);
  EXPECT_EQ(sessions[0].result, Result::kSame) << sessions[0].why;
  EXPECT_EQ(sessions[1].result, Result::kNotReplayed);
  EXPECT_EQ(sessions[1].why, "it began before the log");
}

TEST_F(FlightTest, ALogOfOtherWeightsIsRefused) {
  Make();
  Live();
  auto other = Models();
  std::swap(other[0], other[1]);
  EXPECT_TRUE(absl::IsFailedPrecondition(Replay(recorder_->Take(), other).status()));
}

TEST_F(FlightTest, TextReadsBackTheSame) {
  Make();
  Live();
  const FlightLog log = recorder_->Take();
  const std::string text = ToText(log);
  auto again = ParseFlightLogs(text + text);
  ASSERT_TRUE(again.ok()) << again.status();
  ASSERT_THAT(*again, SizeIs(2));
  EXPECT_EQ(again->at(0).lane, 3);
  EXPECT_EQ(ToText(again->at(1)), text);
}

TEST(FlightText, DamageIsNamedByItsLine) {
  const std::string head = R"({"flight":1,"lane":0,"inputs":true,"dropped":0,"models":[]})"
                           "\n";
  EXPECT_TRUE(ParseFlightLogs(head).ok());
  const std::string bad[] = {
      "",
      "{",
      "[]",
      "{}",
      R"({"flight":2})",
      R"({"event":"end"})",
      head + "no json",
      head + R"({"us":1,"event":"open"})",
      head + R"({"us":1,"event":"push","session":-1,"kind":7})",
      head + R"({"us":1,"event":"push","session":1,"kind":"actions","actions":{"keys":[999],)"
             R"("pointer":[0,0],"scroll":0,"axes":[]}})",
      head + R"({"us":1,"event":"push","session":1,"kind":"prepared","said":{"text":"",)"
             R"("image":{"width":9,"height":9,"rgb":"AA=="}}})"};
  for (const std::string& text : bad) {
    const auto logs = ParseFlightLogs(text);
    EXPECT_TRUE(absl::IsInvalidArgument(logs.status())) << text;
    EXPECT_THAT(std::string(logs.status().message()), HasSubstr("line "));
  }
}

}  // namespace
}  // namespace firstbyte

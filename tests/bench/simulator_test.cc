#include "bench/simulator.h"

#include <thread>

#include "base/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/scripted.h"
#include "server/scheduler/lane.h"

namespace firstbyte::simulator {
namespace {

absl::Duration Us(double us) { return absl::Microseconds(1) * us; }

// Round numbers: prefill 1 ms, a frame 1 ms and .1 a voice, a chunk .5 ms and .1 a voice.
Costs RoundCosts() {
  Costs costs;
  costs.voice = {{Stage::kPrefill, 0, {Us(1000), Us(0)}},
                 {Stage::kGenerate, 0, {Us(900), Us(100)}}};
  for (int frames : {1, 4, 8, 16}) {
    costs.voice.push_back({Stage::kDecode, frames, {Us(400), Us(100)}});
  }
  costs.world = {{Stage::kPrefill, 0, {Us(1000), Us(0)}},
                 {Stage::kGenerate, 0, {Us(500), Us(1500)}},
                 {Stage::kDecode, 0, {Us(500), Us(500)}},
                 {Stage::kCommit, 0, {Us(500), Us(500)}}};
  return costs;
}

Result RunFor(int voices, int worlds, int lanes = 1, absl::Duration length = absl::Seconds(20)) {
  return Simulate(RoundCosts(),
                  {.voices = voices, .worlds = worlds, .lanes = lanes, .length = length});
}

TEST(Simulator, FirstByteOfAVoiceAloneIsTheSumOfItsSteps) {
  const Result result = RunFor(1, 0);
  ASSERT_GT(result.calls, 1);
  EXPECT_THAT(result.ttfb_ms, testing::Each(testing::DoubleNear(1 + 1 + 0.5, 1e-6)));
  EXPECT_EQ(result.underruns, 0);
}

TEST(Simulator, BlockOfAWorldAloneIsTheSumOfItsSteps) {
  const Result result = RunFor(0, 1);
  EXPECT_THAT(result.block_ms, testing::Each(testing::DoubleNear(2 + 1, 1e-6)));
  EXPECT_NEAR(static_cast<double>(result.blocks), 20 * 20, 25) << "as many as play";
  EXPECT_EQ(result.late + result.skipped, 0);
}

TEST(Simulator, SameSeedIsTheSameRun) {
  const Result one = RunFor(30, 3), two = RunFor(30, 3);
  EXPECT_EQ(one.ttfb_ms, two.ttfb_ms);
  EXPECT_EQ(one.lead_ms, two.lead_ms);
  EXPECT_EQ(one.block_ms, two.block_ms);
}

TEST(Simulator, ALoadThatFitsIsHeardWithoutAGap) {
  const Result result = RunFor(60, 4);
  EXPECT_LT(result.utilisation[0], 0.9);
  EXPECT_EQ(result.underruns, 0);
  EXPECT_EQ(result.late, 0);
  EXPECT_GT(result.mean_batch(), 2) << "streams share steps";
}

TEST(Simulator, OneThatDoesNotFitShows) {
  const Result result = RunFor(600, 0);
  EXPECT_GT(result.utilisation[0], 0.99);
  EXPECT_GT(result.underruns, 0);
}

TEST(Simulator, LanesShareTheLoad) {
  const Result one = RunFor(200, 0, 1), two = RunFor(200, 0, 2);
  ASSERT_EQ(two.utilisation.size(), 2u);
  EXPECT_LT(two.utilisation[0], one.utilisation[0]);
  EXPECT_NEAR(two.utilisation[0], two.utilisation[1], 0.1);
}

TEST(Simulator, AlmostAllTheTimeCanBeUsedWithoutAGap) {
  const Result result = RunFor(150, 0);
  EXPECT_GT(result.utilisation[0], 0.8);
  EXPECT_EQ(result.underruns, 0);
}

TEST(Simulator, CostsThatDoNotHoldTogetherAreRefused) {
  for (const char* text :
       {"", "[]", "{}", R"({"per_message_us": -1})", R"({"per_message_us": 1, "voice": {}})",
        R"({"per_message_us": 1, "voice": {"frames_per_second": 25, "steps": [{"stage": "sing",
            "fixed_us": 1, "per_session_us": 1}]}})",
        R"({"per_message_us": 1, "voice": {"frames_per_second": 0, "steps": []}})"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseCosts(text).status())) << text;
  }
  auto costs = ParseCosts(R"({"per_message_us": 20, "voice": {"frames_per_second": 25, "steps":
      [{"stage": "decode", "frames": 4, "fixed_us": 300, "per_session_us": 90}]}})");
  ASSERT_TRUE(costs.ok()) << costs.status();
  EXPECT_EQ(costs->voice[0].stage, Stage::kDecode);
  EXPECT_EQ(costs->voice[0].cost.Of(2), Us(480));
  EXPECT_EQ(costs->per_message, Us(20));
}

// ---- Against a lane with a thread and a real clock, by structure and not by time. ----

// Plays at once whatever comes, as nobody does: so a fast real lane and the simulated one differ in
// nothing but the clock.
class Recorder : public StreamPort {
 public:
  State state(absl::Time) override {
    return {.lead = lead_, .heard = lead_ > Us(0), .room_frames = 16};
  }
  void Reserve(int) override {}
  void ClauseBegun() override {}
  void Deliver(Output output, absl::Time) override {
    if (output.samples.empty()) return;
    const auto frames = static_cast<int>(output.samples.size() / 640);
    lead_ += frames * absl::Milliseconds(40);
    chunks.push_back(frames);
  }
  void Ended(absl::Status, const StageTimes&) override {
    MutexLock lock(&mu_);
    over_ = true;
    changed_.NotifyAll();
  }
  void Await() {
    MutexLock lock(&mu_);
    while (!over_) changed_.Wait(&mu_);
  }

  std::vector<int> chunks;

 private:
  absl::Duration lead_;
  Mutex mu_;
  CondVar changed_;
  bool over_ ABSL_GUARDED_BY(mu_) = false;
};

TEST(Simulator, ChunksGrowAsOnARealLane) {
  auto model = MakeScriptedModel();
  const Model& voice = *model;
  AdmissionLedger ledger(std::vector<std::vector<int>>{{64}});
  auto port = std::make_shared<Recorder>();
  {
    Lane lane(1, {});
    lane.Add(0, std::move(model), {});
    auto seat = ledger.Admit({.model = 0});
    ASSERT_TRUE(seat.ok());
    const auto id =
        lane.Open({.max_lead = absl::Seconds(60), .port = port, .seat = *std::move(seat)});
    lane.Push(id, *voice.Prepare({std::string(200, 'a')}));
    lane.Push(id, EndOfInput{});
    lane.Start();
    port->Await();
  }
  // Eight seconds, as an utterance of the simulation, where steps cost next to nothing.
  Costs costs = RoundCosts();
  for (StepCost& step : costs.voice) step.cost = {Us(1), Us(0)};
  const Result result =
      Simulate(costs, {.voices = 1, .length = absl::Seconds(600), .max_lead = absl::Seconds(60)});
  ASSERT_GT(result.calls, 30);
  const double frames_per_chunk =
      static_cast<double>(result.frames) / static_cast<double>(result.chunks);
  const double real = 200.0 / static_cast<double>(port->chunks.size());
  EXPECT_NEAR(frames_per_chunk, real, 0.1 * real);
}

}  // namespace
}  // namespace firstbyte::simulator

// A lane whose models run on a device of their own: one step is under way while the next is chosen.
#include <random>

#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/scripted.h"
#include "model/scripted_world.h"
#include "server/scheduler/lane.h"
#include "tests/server/scheduler/device_model.h"
#include "tests/server/scheduler/recording_port.h"

namespace firstbyte {
namespace {

using Foresight = DeviceOptions::Foresight;

constexpr absl::Duration kStep = absl::Milliseconds(1);
constexpr absl::Duration kHost = absl::Microseconds(150);  // to publish what one session has

// Takes its time, on the lane's thread.
class BusyPort : public RecordingPort {
 public:
  explicit BusyPort(FakeClock* clock) : clock_(clock) {}
  void Deliver(Output output, absl::Time busy_since) override {
    clock_->Advance(kHost);
    RecordingPort::Deliver(std::move(output), busy_since);
  }

 private:
  FakeClock* const clock_;
};

class StepsUnderWayTest : public testing::Test {
 protected:
  void Make(DeviceOptions options = {}, ScriptedOptions scripted = {}) {
    auto model =
        std::make_unique<DeviceModel>(MakeScriptedModel(std::move(scripted)), &device_, options);
    model_ = model.get();
    ledger_ =
        std::make_unique<AdmissionLedger>(std::vector<std::vector<int>>{{model_->info().slots}});
    lane_ = std::make_unique<Lane>(
        1, LaneOptions{.clock = &clock_,
                       .on_step = [this](const LaneStep& step) { steps_.push_back(Copy(step)); },
                       .on_cost = [this](absl::Duration, absl::Duration took) { costs_ += took; },
                       .on_device_lost = [this](const absl::Status&) { ++device_lost_; }});
    ModelCosts costs;
    for (Stage stage : {Stage::kPrefill, Stage::kGenerate}) {
      costs.steps.push_back({stage, 0, {.fixed = kStep}});
    }
    for (int frames : {1, 4, 8, 16}) {
      costs.steps.push_back({Stage::kDecode, frames, {.fixed = kStep}});
    }
    lane_->Add(0, std::move(model), costs);
  }
  std::shared_ptr<RecordingPort> Speak(const std::string& text, uint64_t seed = 1) {
    auto port = std::make_shared<BusyPort>(&clock_);
    last_ = lane_->Open({.spec = {.seed = seed},
                         .max_lead = absl::Hours(1),
                         .port = port,
                         .seat = *ledger_->Admit({})});
    lane_->Push(last_, *model_->Prepare({text}));
    lane_->Push(last_, EndOfInput{});
    return port;
  }
  void RunUntilIdle() {
    while (lane_->RunOnce() == absl::ZeroDuration()) {
    }
  }

  struct Taken {
    absl::Time begin, end;
    std::vector<uint64_t> sessions;
  };
  static Taken Copy(const LaneStep& step) {
    return {step.begin, step.end, {step.sessions.begin(), step.sessions.end()}};
  }

  FakeClock clock_;
  FakeDevice device_{&clock_};
  std::unique_ptr<AdmissionLedger> ledger_;
  std::vector<Taken> steps_;
  absl::Duration costs_;
  int device_lost_ = 0;
  std::unique_ptr<Lane> lane_;
  DeviceModel* model_ = nullptr;  // the lane's
  Lane::SessionId last_ = 0;
};

TEST_F(StepsUnderWayTest, TheDeviceIsBusyWhileTheLanePublishes) {
  Make();
  auto port = Speak(std::string(200, 'a'));
  RunUntilIdle();
  EXPECT_EQ(port->samples, ScriptedSamples(std::string(200, 'a'), 1));
  EXPECT_EQ(device_.idle(), absl::ZeroDuration());
  EXPECT_EQ(model_->most_under_way(), 2);
  EXPECT_EQ(model_->idle_waits(), 0);
}

TEST_F(StepsUnderWayTest, OneStepUnderWayLeavesTheDeviceIdleMeanwhile) {
  Make({.steps_under_way = 1});
  Speak(std::string(200, 'a'));
  RunUntilIdle();
  EXPECT_EQ(device_.idle(), kHost * static_cast<int64_t>(steps_.size() - 1));
}

TEST_F(StepsUnderWayTest, SessionsTakeTurnsWhereOneMayBeInOneStepOnly) {
  Make({.foresight = Foresight::kNone}, {.max_batch = 2});
  for (int i = 0; i < 4; ++i) Speak(std::string(100, 'a'), i);
  RunUntilIdle();
  EXPECT_EQ(device_.idle(), absl::ZeroDuration());
  EXPECT_EQ(model_->idle_waits(), 0);
}

TEST_F(StepsUnderWayTest, TimesOfStepsAddUpToTheLanesOwn) {
  Make();
  const absl::Time begin = clock_.Now();
  Speak(std::string(100, 'a'));
  Speak(std::string(70, 'b'), 2);
  RunUntilIdle();
  absl::Duration sum;
  for (size_t i = 0; i < steps_.size(); ++i) {
    EXPECT_GE(steps_[i].end, steps_[i].begin);
    if (i > 0) {
      EXPECT_GE(steps_[i].begin, steps_[i - 1].end);
    }
    sum += steps_[i].end - steps_[i].begin;
  }
  EXPECT_GT(sum, kStep * static_cast<int64_t>(steps_.size()) / 2);
  EXPECT_LE(sum, clock_.Now() - begin);
  EXPECT_EQ(costs_, clock_.Now() - begin) << "all that the lane did was for one step or another";
}

TEST_F(StepsUnderWayTest, ACancelledSessionEndsWhenItsLastStepHas) {
  Make();
  auto port = Speak(std::string(100, 'a'));
  for (int i = 0; i < 10; ++i) lane_->RunOnce();
  const size_t heard = port->samples.size();
  lane_->Close(last_);
  lane_->Push(last_, Marker{"late"});
  lane_->RunOnce();
  EXPECT_EQ(port->ended, 1);
  EXPECT_TRUE(absl::IsCancelled(port->status));
  EXPECT_EQ(port->samples.size(), heard) << "nothing is told to one who left";
  EXPECT_EQ(ledger_->usage(0).used, 0);
}

TEST_F(StepsUnderWayTest, OneSessionsFailureIsItsOwn) {
  Make({}, {.poison_letter = 'x'});
  auto bad = Speak("abcdxabcd"), good = Speak("abcdeabcd", 2);
  RunUntilIdle();
  EXPECT_EQ(DetailOf(bad->status).reason, "SCRIPTED_FAILURE");
  EXPECT_EQ(bad->ended, 1);
  EXPECT_EQ(good->samples, ScriptedSamples("abcdeabcd", 2));
  EXPECT_EQ(ledger_->usage(0).used, 0);
}

TEST_F(StepsUnderWayTest, ABatchThatDoesNotFitIsRetriedSmaller) {
  Make({}, {.on_step = [](Stage, int batch) {
         return batch > 2 ? absl::ResourceExhaustedError("memory") : absl::OkStatus();
       }});
  std::vector<std::shared_ptr<RecordingPort>> ports;
  for (int i = 0; i < 5; ++i) ports.push_back(Speak("smaller", i));
  RunUntilIdle();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ports[i]->samples, ScriptedSamples("smaller", i));
  EXPECT_EQ(device_lost_, 0);
}

TEST_F(StepsUnderWayTest, NoMemoryEvenForOneEndsThatOne) {
  bool fail = false;
  Make({}, {.on_step = [&](Stage, int) {
         return std::exchange(fail, false) ? absl::ResourceExhaustedError("memory")
                                           : absl::OkStatus();
       }});
  auto port = Speak(std::string(100, 'a'));
  for (int i = 0; i < 10; ++i) lane_->RunOnce();
  fail = true;
  RunUntilIdle();
  EXPECT_EQ(port->ended, 1);
  EXPECT_EQ(DetailOf(port->status).reason, "NO_MEMORY");
  EXPECT_EQ(ledger_->usage(0).used, 0);
}

TEST_F(StepsUnderWayTest, ALostDeviceEndsAllOnce) {
  int steps = 0;
  Make({}, {.max_batch = 1, .on_step = [&](Stage, int) {
              return ++steps == 20 ? absl::InternalError("gone") : absl::OkStatus();
            }});
  auto a = Speak(std::string(50, 'a')), b = Speak(std::string(50, 'b'));
  RunUntilIdle();
  for (const auto& port : {a, b}) {
    EXPECT_EQ(port->ended, 1);
    EXPECT_EQ(DetailOf(port->status).reason, "DEVICE_LOST");
  }
  EXPECT_EQ(device_lost_, 1);
  EXPECT_EQ(ledger_->usage(0).used, 0);
}

TEST_F(StepsUnderWayTest, ALaneThatGoesAwayWaitsForItsSteps) {
  Make();
  auto port = Speak(std::string(50, 'a'));
  for (int i = 0; i < 10; ++i) lane_->RunOnce();
  lane_.reset();  // the model says if a step was not waited for
  EXPECT_EQ(port->ended, 1);
  EXPECT_TRUE(absl::IsCancelled(port->status));
}

TEST_F(StepsUnderWayTest, AModelComesBackWithNothingUnderWay) {
  Make();
  auto port = Speak("gone");
  RunUntilIdle();
  ASSERT_EQ(port->ended, 1);
  auto removed = std::async(std::launch::async, [this] { return lane_->Remove(0); });
  while (removed.wait_for(std::chrono::seconds(0)) != std::future_status::ready) lane_->RunOnce();
  EXPECT_EQ(removed.get().get(), model_);
}

TEST_F(StepsUnderWayTest, AWorldsBlockRunsAheadUpToItsBoundary) {
  class Player : public RecordingPort {
   public:
    State state(absl::Time) override {
      return {.block_start = absl::InfinitePast(), .block_due = absl::InfinitePast()};
    }
    BlockPlan BeginBlock(absl::Time) override {
      BlockPlan plan{.save = true};
      if (begun++ < 5) {
        plan.inputs.emplace_back(BlockActions{});
      } else {
        plan.inputs.emplace_back(EndOfInput{});
      }
      return plan;
    }
    void Saved(absl::StatusOr<std::string> state) override { EXPECT_TRUE(state.ok()); }
    void DeliverBlock(Output output, const StageTimes&) override {
      EXPECT_EQ(output.block, blocks++);
    }
    int begun = 0, blocks = 0;
  };
  auto world = std::make_unique<DeviceModel>(MakeScriptedWorld({.passes = 4}), &device_);
  model_ = world.get();
  AdmissionLedger ledger(std::vector<std::vector<int>>{{64}});
  Lane lane(1, {.clock = &clock_});
  lane.Add(0, std::move(world), {});
  auto port = std::make_shared<Player>();
  lane.Open({.spec = {.scene = *model_->Prepare({})}, .port = port, .seat = *ledger.Admit({})});
  while (lane.RunOnce() == absl::ZeroDuration()) {
  }
  EXPECT_EQ(port->ended, 1);
  EXPECT_EQ(port->blocks, 5);
  EXPECT_EQ(model_->most_under_way(), 2);
  EXPECT_EQ(model_->idle_waits(), 0);
}

// Whatever voices do: no wait while there is a step that could be under way, too.
class BusyDevice : public StepsUnderWayTest, public testing::WithParamInterface<int> {};

TEST_P(BusyDevice, NeverWaitsForAStepWhileAnotherCouldRun) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const auto draw = [&](int from, int to) {
    return std::uniform_int_distribution(from, to)(random);
  };
  const bool foresees = draw(0, 1) == 1;
  Make({.foresight = foresees ? Foresight::kAll : Foresight::kNone,
        .cost = [&] { return absl::Microseconds(draw(100, 4000)); }},
       {.max_batch = draw(1, 8)});
  std::vector<std::shared_ptr<RecordingPort>> ports;
  std::vector<std::string> said;
  for (int i = draw(1, 10); i-- > 0;) {
    for (int rounds = draw(0, 20); rounds-- > 0;) lane_->RunOnce();
    said.emplace_back(draw(1, 40), static_cast<char>('a' + draw(0, 20)));
    ports.push_back(Speak(said.back(), said.size()));
  }
  RunUntilIdle();
  for (size_t i = 0; i < ports.size(); ++i) {
    EXPECT_EQ(ports[i]->ended, 1);
    EXPECT_EQ(ports[i]->samples, ScriptedSamples(said[i], i + 1));
  }
  EXPECT_EQ(model_->idle_waits(), 0);
  EXPECT_LE(model_->most_under_way(), 2);
  EXPECT_EQ(ledger_->usage(0).used, 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, BusyDevice, testing::Range(0, FIRSTBYTE_SCHEDULES));

}  // namespace
}  // namespace firstbyte

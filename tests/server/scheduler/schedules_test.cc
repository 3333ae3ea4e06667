// A lane through a thousand random schedules: streams come, talk, cancel, stall, fail; worlds are
// played beside them. Whatever happens, each stream ends once with what it should have heard, and
// what the flight recorder saw makes the same bytes again. So, too, on a device that runs steps by
// itself, with one step under way and with two.

#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/scripted.h"
#include "model/scripted_world.h"
#include "server/scheduler/flight_recorder.h"
#include "server/scheduler/lane.h"
#include "server/scheduler/replay.h"
#include "tests/server/scheduler/device_model.h"

namespace firstbyte {
namespace {

constexpr int kSamplesPerFrame = 160;  // 10 ms
constexpr absl::Duration kScriptedFrame = absl::Milliseconds(10);
constexpr absl::Duration kMaxLead = absl::Milliseconds(400);

struct Port : StreamPort {
  explicit Port(FakeClock* c) : clock(c) {}
  void Ended(absl::Status s, const StageTimes&) override {
    ++ended;
    status = std::move(s);
  }
  void Reserve(int) override {}
  void ClauseBegun() override {}
  void Deliver(Output, absl::Time) override {}

  FakeClock* const clock;
  int ended = 0;
  absl::Status status;
};

// Plays in real time; `room` is what its outbox has.
struct Listener : Port {
  using Port::Port;
  State state(absl::Time now) override {
    return {.lead = std::max(absl::ZeroDuration(), dry - now),
            .heard = !samples.empty(),
            .room_frames = room};
  }
  void Reserve(int frames) override {
    EXPECT_LE(frames, room);
    EXPECT_EQ(reserved, 0) << "one chunk at a time";
    reserved = frames;
  }
  void Deliver(Output output, absl::Time) override {
    const int64_t frames = static_cast<int64_t>(output.samples.size()) / kSamplesPerFrame;
    EXPECT_LE(frames, reserved) << "room was set aside for what comes";
    reserved = 0;
    samples.insert(samples.end(), output.samples.begin(), output.samples.end());
    dry = std::max(dry, clock->Now()) + frames * kScriptedFrame;
    EXPECT_LE(dry - clock->Now(), kMaxLead + 16 * kScriptedFrame) << "what is held is bounded";
  }

  int room = 16, reserved = 0;
  absl::Time dry = absl::InfinitePast();
  std::vector<float> samples;
};

// Steps as soon as there is an action.
struct Walker : Port {
  using Port::Port;
  State state(absl::Time) override {
    const bool go = (actions > 0 || closing) && !told;
    return {.heard = blocks > 0,
            .block_start = go ? absl::InfinitePast() : absl::InfiniteFuture(),
            .block_due = due};
  }
  BlockPlan BeginBlock(absl::Time now) override {
    due = now + absl::Milliseconds(15);
    BlockPlan plan;
    if (actions > 0) {
      --actions;
      plan.inputs.emplace_back(BlockActions{});
    } else {
      told = true;
      plan.inputs.emplace_back(EndOfInput{});
    }
    return plan;
  }
  void DeliverBlock(Output output, const StageTimes&) override {
    ++blocks;
    const Output expected = world.Next({});
    EXPECT_EQ(output.block, expected.block);
    EXPECT_EQ(output.frames, expected.frames);
    EXPECT_EQ(output.samples, expected.samples);
  }

  const ScriptedWorldOptions options;
  ScriptedWorldReplay world{options, 1};
  int actions = 0, blocks = 0;
  bool closing = false, told = false;
  absl::Time due = absl::InfinitePast();
};

struct How {
  const char* name;
  bool device;  // steps are under way until they are waited for
  DeviceOptions options;
};
void PrintTo(const How& how, std::ostream* out) { *out << how.name; }

using Foresight = DeviceOptions::Foresight;
const How kHows[] = {
    {"InSubmit", false, {}},
    {"OneUnderWay", true, {.steps_under_way = 1}},
    {"TwoUnderWay", true, {.steps_under_way = 2}},
    {"TwoOfOthers", true, {.steps_under_way = 2, .foresight = Foresight::kNone}},
    {"TwoAndEndsAreLate", true, {.steps_under_way = 2, .foresight = Foresight::kLate}},
};

class Schedules : public testing::TestWithParam<std::tuple<How, int>> {
 protected:
  struct Voice {
    std::shared_ptr<Listener> port;
    Lane::SessionId id;
    uint64_t seed;
    std::string said;
    bool closed = false, cancelled = false;
  };
  struct World {
    std::shared_ptr<Walker> port;
    Lane::SessionId id;
    bool cancelled = false;
  };

  Schedules() {
    const int max_batch = Draw(1, 6);
    const absl::Duration fixed = absl::Microseconds(Draw(50, 2000));
    const absl::Duration each = absl::Microseconds(Draw(10, 1500));
    auto on_step = [=, this](Stage, int batch) {
      EXPECT_LE(batch, max_batch);
      const bool stalls = Draw(0, 99) == 0;
      cost_ = fixed + each * batch + (stalls ? absl::Milliseconds(80) : absl::ZeroDuration());
      if (!how_.device) clock_.Advance(cost_);
      return batch > 1 && Draw(0, 199) == 0 ? absl::ResourceExhaustedError("memory")
                                            : absl::OkStatus();
    };
    voice_options_ = {.slots = voice_slots_,
                      .max_batch = max_batch,
                      .samples_per_frame = kSamplesPerFrame,
                      .poison_letter = 'x'};
    world_options_ = {.slots = world_slots_, .max_batch = max_batch};
    auto models = Models(on_step, &device_);
    voice_ = models[0].get();
    world_ = models[1].get();
    recorder_ = std::make_unique<FlightRecorder>(
        0, std::vector<const ModelInfo*>{&voice_->info(), &world_->info()},
        FlightOptions{.max_bytes = int64_t{1} << 30, .inputs = true}, &clock_);
    ledger_ = std::make_unique<AdmissionLedger>(
        std::vector<std::vector<int>>{{voice_slots_}, {world_slots_}});
    lane_ = std::make_unique<Lane>(2, LaneOptions{.clock = &clock_, .watchers = {recorder_.get()}});
    for (int i : {0, 1}) lane_->Add(i, std::move(models[i]), {});
  }

  std::vector<std::unique_ptr<Model>> Models(const std::function<absl::Status(Stage, int)>& on_step,
                                             FakeDevice* device) {
    std::vector<std::unique_ptr<Model>> models;
    voice_options_.on_step = world_options_.on_step = on_step;
    models.push_back(MakeScriptedModel(voice_options_));
    models.push_back(MakeScriptedWorld(world_options_));
    if (!how_.device) return models;
    DeviceOptions options = how_.options;
    options.cost = [this] { return std::exchange(cost_, absl::ZeroDuration()); };
    for (auto& model : models) {
      model = std::make_unique<DeviceModel>(std::move(model), device, options);
    }
    return models;
  }

  int Draw(int from, int to) { return std::uniform_int_distribution(from, to)(random_); }
  template <typename T>
  T* Any(std::vector<T>* all) {
    return all->empty() ? nullptr : &(*all)[static_cast<size_t>(Draw(0, 1000)) % all->size()];
  }
  std::string Tenant() { return std::string(1, static_cast<char>('a' + Draw(0, 2))); }

  void OpenVoice() {
    auto seat = ledger_->Admit({.model = 0});
    if (!seat.ok()) return;
    Voice voice{std::make_shared<Listener>(&clock_), 0, static_cast<uint64_t>(Draw(1, 99)), ""};
    voice.id = lane_->Open({.spec = {.seed = voice.seed},
                            .tenant = Tenant(),
                            .max_lead = kMaxLead,
                            .port = voice.port,
                            .seat = *std::move(seat)});
    voices_.push_back(std::move(voice));
  }
  void OpenWorld() {
    auto seat = ledger_->Admit({.model = 1});
    if (!seat.ok()) return;
    World world{std::make_shared<Walker>(&clock_), 0};
    world.id = lane_->Open({.spec = {.scene = *world_->Prepare({})},
                            .tenant = Tenant(),
                            .port = world.port,
                            .seat = *std::move(seat),
                            .said = std::make_shared<RawInput>()});
    worlds_.push_back(std::move(world));
  }
  void Say(Voice* voice) {
    if (voice->closed || voice->cancelled) return;
    std::string letters;
    for (int n = Draw(1, 40); n > 0; --n) letters += static_cast<char>('a' + Draw(0, 22));
    if (Draw(0, 19) == 0) letters += 'x';  // fails there
    lane_->Push(voice->id, *voice_->Prepare({letters}),
                std::make_shared<RawInput>(RawInput{.text = letters}));
    voice->said += letters;
  }
  void EndText(Voice* voice) {
    if (voice->closed || voice->cancelled) return;
    lane_->Push(voice->id, EndOfInput{});
    voice->closed = true;
  }

  // Something that may happen to a lane.
  void Something() {
    Voice* voice = Any(&voices_);
    World* world = Any(&worlds_);
    switch (Draw(0, 11)) {
      case 0:
        return OpenVoice();
      case 1:
        return OpenWorld();
      case 2:
      case 3:
        if (voice != nullptr) Say(voice);
        return;
      case 4:
        if (voice != nullptr) EndText(voice);
        return;
      case 5:
        if (voice != nullptr) voice->port->room = Draw(0, 1) * Draw(0, 16);
        return lane_->Wake();
      case 6:
        if (Draw(0, 3) > 0) return;
        if (voice != nullptr) lane_->Close(voice->id), voice->cancelled = true;
        return;
      case 7:
        if (world != nullptr && !world->port->closing) world->port->actions += 3;
        return lane_->Wake();
      case 8:
        if (Draw(0, 3) > 0) return;
        if (world != nullptr) lane_->Close(world->id), world->cancelled = true;
        return;
      case 9:
        clock_.Advance(absl::Milliseconds(Draw(0, 200)));
        return;
      default:
        for (int n = Draw(1, 20); n > 0; --n) lane_->RunOnce();
    }
  }

  // Everyone has said all, and everyone reads: in bounded time nothing is left.
  void Finish() {
    for (Voice& voice : voices_) {
      voice.port->room = 16;
      EndText(&voice);
    }
    for (World& world : worlds_) world.port->closing = true;
    for (int i = 0; i < 20000; ++i) {
      const absl::Duration idle = lane_->RunOnce();
      if (idle == absl::InfiniteDuration()) return;
      clock_.Advance(std::min(idle, absl::Seconds(1)));
    }
    FAIL() << "someone starves";
  }

  void ExpectTheSameAgain() {
    FakeDevice device(&clock_);
    const auto sessions = Replay(recorder_->Take(), Models(nullptr, &device));
    ASSERT_TRUE(sessions.ok()) << sessions.status();
    for (const ReplayedSession& session : *sessions) {
      EXPECT_EQ(session.result, ReplayedSession::Result::kSame) << session.why;
    }
  }

  const How how_ = std::get<0>(GetParam());
  const int seed_ = std::get<1>(GetParam());
  std::mt19937 random_{static_cast<unsigned>(seed_)};
  const int voice_slots_ = Draw(1, 10), world_slots_ = Draw(1, 3);
  FakeClock clock_;
  FakeDevice device_{&clock_};
  absl::Duration cost_;  // of the last step
  ScriptedOptions voice_options_;
  ScriptedWorldOptions world_options_;
  std::unique_ptr<FlightRecorder> recorder_;
  std::unique_ptr<AdmissionLedger> ledger_;
  std::unique_ptr<Lane> lane_;
  const Model *voice_ = nullptr, *world_ = nullptr;  // the lane's
  std::vector<Voice> voices_;
  std::vector<World> worlds_;
};

TEST_P(Schedules, EveryStreamEndsOnceWithAllItShouldHaveAndNothingLeaks) {
  for (int i = 0; i < 150; ++i) Something();
  ExpectTheSameAgain();  // in the middle of things
  Finish();
  ExpectTheSameAgain();
  for (const Voice& voice : voices_) {
    EXPECT_EQ(voice.port->ended, 1);
    const std::vector<float> all =
        ScriptedSamples(voice.said.substr(0, voice.said.find('x')), voice.seed, kSamplesPerFrame);
    const std::vector<float>& heard = voice.port->samples;
    ASSERT_LE(heard.size(), all.size());
    EXPECT_TRUE(std::equal(heard.begin(), heard.end(), all.begin())) << "another one's sound";
    if (voice.port->status.ok()) {
      EXPECT_EQ(heard.size(), all.size());
      EXPECT_EQ(voice.said.find('x'), std::string::npos);
    } else {
      EXPECT_TRUE(voice.cancelled || voice.said.find('x') != std::string::npos)
          << voice.port->status;
    }
  }
  for (const World& world : worlds_) {
    EXPECT_EQ(world.port->ended, 1);
    if (world.cancelled) continue;
    EXPECT_TRUE(world.port->status.ok()) << world.port->status;
    EXPECT_EQ(world.port->actions, 0);
  }
  for (int model : {0, 1}) EXPECT_EQ(ledger_->usage(model).used, 0);
  // Slots, too, are free again.
  const size_t before = voices_.size();
  for (int i = 0; i < voice_slots_; ++i) OpenVoice();
  Finish();
  ASSERT_EQ(voices_.size(), before + static_cast<size_t>(voice_slots_));
  for (const Voice& voice : voices_) EXPECT_EQ(voice.port->ended, 1);
  EXPECT_TRUE(voices_.back().port->status.ok()) << voices_.back().port->status;
}

INSTANTIATE_TEST_SUITE_P(Seeds, Schedules,
                         testing::Combine(testing::ValuesIn(kHows),
                                          testing::Range(0, FIRSTBYTE_SCHEDULES * 2 / 5)),
                         [](const auto& info) {
                           return std::get<0>(info.param).name +
                                  std::to_string(std::get<1>(info.param));
                         });

}  // namespace
}  // namespace firstbyte

#include "bench/simulator.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <queue>
#include <random>
#include <utility>

#include "base/clock.h"
#include "model/scripted.h"
#include "model/scripted_world.h"
#include "server/scheduler/lane.h"
#include "server/stream/playback_meter.h"
#include "server/stream/world_pacer.h"

namespace firstbyte::simulator {
namespace {

constexpr int kVoice = 0, kWorld = 1;  // models
constexpr int kClauseFrames = 100;

// A model without weights whose steps take as long as they are told to.
class CostedModel : public Model {
 public:
  CostedModel(std::unique_ptr<Model> model, const std::vector<StepCost>& steps, FakeClock* clock,
              Result* result)
      : info_(model->info()), model_(std::move(model)), clock_(clock), result_(result) {
    for (const StepCost& step : steps) costs_.Set(0, step.stage, step.frames, step.cost);
  }

  const ModelInfo& info() const override { return info_; }
  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(const RawInput& input) const override {
    return model_->Prepare(input);
  }
  absl::StatusOr<std::unique_ptr<Session>> Open(const SessionSpec& spec) override {
    return model_->Open(spec);
  }
  Ticket Submit(Stage stage, absl::Span<Session* const> batch, int frames) override {
    const bool chunk = stage == Stage::kDecode && !info_.world;
    const absl::Duration cost =
        costs_.Predict(0, stage, chunk ? frames : 0, static_cast<int>(batch.size()));
    clock_->Advance(cost);
    Result::Stage& total = result_->stages[static_cast<int>(stage)];
    total.steps += 1;
    total.sessions += static_cast<int64_t>(batch.size());
    total.busy += cost;
    return model_->Submit(stage, batch, frames);
  }
  absl::Status Wait(Ticket ticket, StepReport* report) override {
    return model_->Wait(ticket, report);
  }

  ModelInfo& mutable_info() { return info_; }

 private:
  ModelInfo info_;
  const std::unique_ptr<Model> model_;
  FakeClock* const clock_;
  Result* const result_;
  StepCosts costs_;
};

// What one lane's streams share.
struct Room {
  const Costs& costs;
  const Load& load;
  FakeClock clock;
  Result result;
  bool closing = false;

  void Send() { clock.Advance(costs.per_message); }
};

// One utterance and who hears it.
class Listener : public StreamPort {
 public:
  // `over` hears when the listener has heard everything.
  Listener(Room* room, std::function<void(absl::Time)> over)
      : room_(room), over_(std::move(over)), asked_(room->clock.Now()) {}

  State state(absl::Time now) override {
    return {.lead = meter_.Lead(now), .heard = heard_, .room_frames = 16};
  }
  void Reserve(int) override {}
  void ClauseBegun() override {}

  void Deliver(Output output, absl::Time) override {
    if (output.samples.empty()) return;  // one sample is a frame
    room_->Send();
    const absl::Time now = room_->clock.Now();
    const auto frames = static_cast<int64_t>(output.samples.size());
    const absl::Duration media = absl::Seconds(frames / room_->costs.voice_frames_per_second);
    Result& result = room_->result;
    if (!std::exchange(heard_, true)) {
      result.ttfb_ms.push_back(absl::ToDoubleMilliseconds(now - asked_));
      ++result.calls;
      silent_at_ = now + room_->load.jitter_buffer;
    } else if (now > silent_at_) {
      ++result.underruns;
      silent_at_ = now;
    }
    silent_at_ += media;
    meter_.OnWritten(media, now);
    result.lead_ms.push_back(absl::ToDoubleMilliseconds(meter_.Lead(now)));
    result.frames += frames;
    ++result.chunks;
  }
  void Ended(absl::Status, const StageTimes&) override {
    if (!room_->closing) over_(silent_at_);
  }

 private:
  Room* const room_;
  const std::function<void(absl::Time)> over_;
  const absl::Time asked_;
  bool heard_ = false;
  absl::Time silent_at_;  // when the listener has nothing left to play
  PlaybackMeter meter_;
};

class Player : public StreamPort {
 public:
  Player(Room* room, absl::Duration period, absl::Duration block_cost)
      : room_(room), pacer_(Pacing::kRealtime, period, block_cost) {}

  State state(absl::Time) override {
    return {.heard = blocks_ > 0, .block_start = pacer_.start(), .block_due = due_};
  }
  BlockPlan BeginBlock(absl::Time now) override {
    begun_ = pacer_.Begin(now);
    due_ = begun_.due;
    room_->result.skipped += begun_.skipped;
    BlockPlan plan;
    plan.inputs.emplace_back(BlockActions{});
    return plan;
  }
  void DeliverBlock(Output, const StageTimes&) override {
    room_->Send();
    const absl::Time now = room_->clock.Now();
    ++blocks_;
    ++room_->result.blocks;
    room_->result.late += pacer_.Finished(begun_, now);
    room_->result.block_ms.push_back(absl::ToDoubleMilliseconds(now - begun_.at));
    due_ = pacer_.NextDue(now);
  }
  void Reserve(int) override {}
  void ClauseBegun() override {}
  void Deliver(Output, absl::Time) override {}
  void Ended(absl::Status, const StageTimes&) override {}

 private:
  Room* const room_;
  WorldPacer pacer_;
  WorldPacer::Begun begun_;
  absl::Time due_ = absl::InfinitePast();
  int64_t blocks_ = 0;
};

std::unique_ptr<Model> MakeVoice(const Load& load, Room* room) {
  ScriptedOptions options{
      .slots = std::max(1, load.voices), .max_batch = load.max_batch, .samples_per_frame = 1};
  auto model = std::make_unique<CostedModel>(MakeScriptedModel(options), room->costs.voice,
                                             &room->clock, &room->result);
  // One sample a frame: what it sounds like is of no interest.
  model->mutable_info().samples_per_frame = 1000;
  model->mutable_info().sample_rate_hertz =
      static_cast<int>(1000 * room->costs.voice_frames_per_second);
  return model;
}

std::unique_ptr<Model> MakeWorld(const Load& load, Room* room) {
  ScriptedWorldOptions options;
  options.slots = std::max(1, load.worlds);
  options.max_batch = load.max_batch;
  options.width = options.height = 1;
  options.frames_per_second = room->costs.world_frames_per_second;
  options.frames_per_block = 1;
  options.samples_per_frame = 0;
  options.prefill_slices = room->costs.scene_slices;
  options.passes = room->costs.passes;
  return std::make_unique<CostedModel>(MakeScriptedWorld(options), room->costs.world, &room->clock,
                                       &room->result);
}

// One lane with its share of the load.
class OneLane {
 public:
  OneLane(const Costs& costs, const Load& load, const PolicyOptions& policy)
      : room_{.costs = costs, .load = load},
        random_(load.seed),
        ledger_(std::vector<std::vector<int>>{{load.voices}, {load.worlds}}) {
    lane_ = std::make_unique<Lane>(2, LaneOptions{.policy = policy, .clock = &room_.clock});
    voice_ = Add(kVoice, MakeVoice(load, &room_), policy);
    world_ = Add(kWorld, MakeWorld(load, &room_), policy);
    room_.result = Result();  // the steps of the warm-up are not counted
  }

  Result Run() {
    const absl::Time begin = room_.clock.Now(), end = begin + room_.load.length;
    for (int i = 0; i < room_.load.voices; ++i) {
      Schedule(begin + Draw(0, 1) * room_.load.utterance, [this] { Speak(); });
    }
    for (int i = 0; i < room_.load.worlds; ++i) {
      Schedule(begin + Draw(0, 1) * absl::Seconds(1), [this] { Play(); });
    }
    absl::Duration idle;
    while (room_.clock.Now() < end) {
      while (!events_.empty() && events_.top().at <= room_.clock.Now()) {
        auto happen = events_.top().happen;
        events_.pop();
        happen();
      }
      absl::Duration wait = lane_->RunOnce();
      if (wait == absl::ZeroDuration()) continue;
      wait = std::min(wait, end - room_.clock.Now());
      if (!events_.empty()) wait = std::min(wait, events_.top().at - room_.clock.Now());
      idle += std::max(wait, absl::Nanoseconds(1));
      room_.clock.Advance(std::max(wait, absl::Nanoseconds(1)));
    }
    room_.result.utilisation = {1 - absl::FDivDuration(idle, room_.clock.Now() - begin)};
    room_.closing = true;
    lane_.reset();
    return std::move(room_.result);
  }

 private:
  struct Event {
    absl::Time at;
    std::function<void()> happen;
    bool operator<(const Event& other) const { return other.at < at; }  // the soonest on top
  };

  double Draw(double from, double to) {
    return std::uniform_real_distribution<double>(from, to)(random_);
  }
  void Schedule(absl::Time at, std::function<void()> happen) {
    events_.push({at, std::move(happen)});
  }

  void Speak() {
    auto seat = ledger_.Admit({.model = kVoice});
    auto port = std::make_shared<Listener>(
        &room_, [this](absl::Time heard) { Schedule(heard, [this] { Speak(); }); });
    const auto id = lane_->Open(
        {.max_lead = room_.load.max_lead, .port = std::move(port), .seat = *std::move(seat)});
    const double seconds = Draw(0.5, 1.5) * absl::ToDoubleSeconds(room_.load.utterance);
    int frames = std::max(1, static_cast<int>(seconds * room_.costs.voice_frames_per_second));
    for (; frames > 0; frames -= kClauseFrames) {
      const std::string letters(std::min(frames, kClauseFrames), 'a');
      lane_->Push(id, *voice_->Prepare({letters}));
    }
    lane_->Push(id, EndOfInput{});
  }

  void Play() {
    auto seat = ledger_.Admit({.model = kWorld});
    const absl::Duration period = absl::Seconds(1 / room_.costs.world_frames_per_second);
    lane_->Open({.spec = {.scene = *world_->Prepare({})},
                 .port = std::make_shared<Player>(&room_, period, block_cost_),
                 .seat = *std::move(seat)});
  }

  // As the server does before it is ready.
  const Model* Add(int index, std::unique_ptr<Model> model, const PolicyOptions& policy) {
    const Model* added = model.get();
    auto costs = WarmUp(model.get(), room_.clock, policy.max_step);
    if (index == kWorld && costs.ok()) block_cost_ = costs->block;
    lane_->Add(index, std::move(model), costs.ok() ? *std::move(costs) : ModelCosts());
    return added;
  }

  Room room_;
  std::mt19937 random_;
  AdmissionLedger ledger_;
  std::unique_ptr<Lane> lane_;
  const Model *voice_ = nullptr, *world_ = nullptr;  // the lane's
  absl::Duration block_cost_;                        // of a world alone
  std::priority_queue<Event> events_;
};

template <typename T>
void Append(std::vector<T> from, std::vector<T>* to) {
  to->insert(to->end(), from.begin(), from.end());
}

void Add(Result one, Result* all) {
  all->calls += one.calls;
  all->underruns += one.underruns;
  all->frames += one.frames;
  all->chunks += one.chunks;
  all->blocks += one.blocks;
  all->late += one.late;
  all->skipped += one.skipped;
  Append(std::move(one.ttfb_ms), &all->ttfb_ms);
  Append(std::move(one.lead_ms), &all->lead_ms);
  Append(std::move(one.block_ms), &all->block_ms);
  Append(std::move(one.utilisation), &all->utilisation);
  for (int i = 0; i < kStageCount; ++i) {
    all->stages[i].steps += one.stages[i].steps;
    all->stages[i].sessions += one.stages[i].sessions;
    all->stages[i].busy += one.stages[i].busy;
  }
}

}  // namespace

double Result::mean_batch() const {
  int64_t steps = 0, sessions = 0;
  for (const Stage& stage : stages) steps += stage.steps, sessions += stage.sessions;
  return steps == 0 ? 0 : static_cast<double>(sessions) / static_cast<double>(steps);
}

Result Simulate(const Costs& costs, const Load& load, const PolicyOptions& policy) {
  Result all;
  for (int lane = 0; lane < load.lanes; ++lane) {
    Load part = load;
    // The first lanes get what does not divide evenly.
    part.voices = load.voices / load.lanes + (lane < load.voices % load.lanes);
    part.worlds = load.worlds / load.lanes + (lane < load.worlds % load.lanes);
    part.seed = load.seed * 1000 + static_cast<unsigned>(lane);
    Add(OneLane(costs, part, policy).Run(), &all);
  }
  return all;
}

}  // namespace firstbyte::simulator

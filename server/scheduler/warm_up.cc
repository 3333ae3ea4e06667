#include "server/scheduler/warm_up.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

constexpr char kText[] = "The quick brown fox jumps over the lazy dog beside the river.";
constexpr int kDecodeFrames[] = {1, 4, 8, 16};
constexpr int kLargestWarmUpBatch = 32;
constexpr int kWarmUpBlocks = 3;
// For the sustained cost of a voice: the chunk of one that is close to silence, because a lane that
// keeps up with larger ones only never gets to them; and what a quantum of prefill covers
// (model.h).
constexpr int kSmallestChunk = 1;
constexpr int kPrefillFrames = 64;

// Sessions of one model that advance in lockstep.
class Cohort {
 public:
  Cohort(Model* model, const Clock* clock) : model_(model), clock_(clock) {}

  absl::Status OpenVoices(int count) {
    for (int i = 0; i < count; ++i) {
      auto clause = model_->Prepare({.text = kText});
      if (!clause.ok()) return clause.status();
      absl::Status opened = OpenOne({.voice = model_->info().voices.front().name});
      if (!opened.ok()) return opened;
      if (auto pushed = raw_.back()->Push(*std::move(clause)); !pushed.ok()) return pushed;
    }
    return absl::OkStatus();
  }

  absl::Status OpenWorlds(int count) {
    for (int i = 0; i < count; ++i) {
      auto scene = model_->Prepare({});
      if (!scene.ok()) return scene.status();
      absl::Status opened = OpenOne({.scene = *std::move(scene)});
      if (!opened.ok()) return opened;
    }
    return absl::OkStatus();
  }

  absl::Status BeginBlock() {
    for (Session* session : raw_) {
      if (auto pushed = session->Push(BlockActions{}); !pushed.ok()) return pushed;
    }
    return absl::OkStatus();
  }

  // Runs one step; nothing when some session has nothing to do in that stage.
  absl::StatusOr<std::optional<absl::Duration>> Step(Stage stage, int frames) {
    for (const Session* session : raw_) {
      Work work = session->work();
      if ((stage == Stage::kPrefill && !work.prefill) ||
          (stage == Stage::kGenerate && !work.generate) ||
          (stage == Stage::kDecode && (work.decode_frames == 0 || work.decode_frames < frames)) ||
          (stage == Stage::kCommit && !work.commit)) {
        return std::nullopt;
      }
    }
    StepReport report;
    absl::Time begin = clock_->Now();
    absl::Status status = model_->Wait(model_->Submit(stage, raw_, frames), &report);
    absl::Duration cost = clock_->Now() - begin;
    Keep(raw_[0]->Take());
    for (Session* session : raw_) session->Take();
    if (!status.ok()) return status;
    for (const absl::Status& each : report.session_status) {
      if (!each.ok()) return each;
    }
    return cost;
  }

  // What the first session made.
  const Output& media() const { return media_; }

 private:
  void Keep(const Output& output) {
    media_.samples.insert(media_.samples.end(), output.samples.begin(), output.samples.end());
    media_.frames.insert(media_.frames.end(), output.frames.begin(), output.frames.end());
  }
  absl::Status OpenOne(const SessionSpec& spec) {
    auto session = model_->Open(spec);
    if (!session.ok()) return session.status();
    raw_.push_back(session->get());
    sessions_.push_back(*std::move(session));
    return absl::OkStatus();
  }

  Model* const model_;
  const Clock* const clock_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<Session*> raw_;
  Output media_;
};

// What one batch size costs. The least of several steps counts: first-touch page faults and what
// else the machine did meanwhile are not the model's.
struct Costs {
  std::map<std::pair<Stage, int>, absl::Duration> steps;  // by stage and frames
  // Of a world, the least of its blocks: all slices of the scene; its passes; and the commit.
  absl::Duration scene, block, commit;
  MediaCosts media;

  void Add(Stage stage, int frames, absl::Duration cost) {
    auto [it, first] = steps.try_emplace({stage, frames}, cost);
    if (!first) it->second = std::min(it->second, cost);
  }
  absl::Duration Of(Stage stage, int frames = 0) const {
    auto it = steps.find({stage, frames});
    return it == steps.end() ? absl::ZeroDuration() : it->second;
  }
};

absl::StatusOr<Costs> MeasureVoice(Model* model, const Clock* clock, int batch) {
  Cohort cohort(model, clock);
  if (auto opened = cohort.OpenVoices(batch); !opened.ok()) return opened;
  Costs costs;
  auto run = [&](Stage stage, int frames, int steps) -> absl::Status {
    for (int i = 0; i < steps; ++i) {
      auto cost = cohort.Step(stage, frames);
      if (!cost.ok()) return cost.status();
      if (*cost) costs.Add(stage, frames, **cost);
    }
    return absl::OkStatus();
  };
  absl::Status status = run(Stage::kPrefill, 0, 2);
  for (int round = 0; round < 2; ++round) {
    for (int frames : kDecodeFrames) {
      // One frame more than is decoded covers a codec that looks ahead.
      if (status.ok()) status = run(Stage::kGenerate, 0, frames + 1);
      if (status.ok()) status = run(Stage::kDecode, frames, 1);
    }
  }
  if (!status.ok()) return status;
  if (batch == 1) costs.media = MediaCosts::Measure(model->info(), cohort.media(), *clock);
  return costs;
}

// The same for a world: its scene, then blocks.
absl::StatusOr<Costs> MeasureWorld(Model* model, const Clock* clock, int batch) {
  Cohort cohort(model, clock);
  if (auto opened = cohort.OpenWorlds(batch); !opened.ok()) return opened;
  const int frames = model->info().world->frames_per_block;
  Costs costs;
  // Runs `stage` until it has nothing more to do; returns what its steps took in all.
  auto run = [&](Stage stage) -> absl::StatusOr<absl::Duration> {
    absl::Duration total;
    while (true) {
      auto cost = cohort.Step(stage, 0);
      if (!cost.ok()) return cost.status();
      if (!*cost) return total;
      total += **cost;
      costs.Add(stage, stage == Stage::kDecode ? frames : 0, **cost);
    }
  };
  auto scene = run(Stage::kPrefill);
  if (!scene.ok()) return scene.status();
  costs.scene = *scene;
  costs.block = costs.commit = absl::InfiniteDuration();
  for (int i = 0; i < kWarmUpBlocks; ++i) {
    if (auto begun = cohort.BeginBlock(); !begun.ok()) return begun;
    auto generate = run(Stage::kGenerate), decode = run(Stage::kDecode);
    auto commit = run(Stage::kCommit);
    for (const auto* each : {&generate, &decode, &commit}) {
      if (!each->ok()) return each->status();
    }
    costs.block = std::min(costs.block, *generate + *decode);
    costs.commit = std::min(costs.commit, *commit);
  }
  if (batch == 1) costs.media = MediaCosts::Measure(model->info(), cohort.media(), *clock);
  return costs;
}

absl::Duration FrameCost(const ModelInfo& info, const Costs& costs) {
  if (info.world) return costs.block + costs.commit;
  return costs.Of(Stage::kGenerate) + costs.Of(Stage::kDecode, kSmallestChunk) / kSmallestChunk +
         costs.Of(Stage::kPrefill) / kPrefillFrames;
}

absl::Duration StartUpCost(const ModelInfo& info, const Costs& costs) {
  if (info.world) return costs.scene + costs.block;
  return costs.Of(Stage::kPrefill) + costs.Of(Stage::kGenerate) + costs.Of(Stage::kDecode, 1);
}

absl::Duration PeriodOf(const ModelInfo& info) {
  return info.world ? absl::Seconds(info.world->frames_per_block / info.world->frames_per_second)
                    : absl::Seconds(1) * info.samples_per_frame / info.sample_rate_hertz;
}

}  // namespace

absl::StatusOr<ModelCosts> WarmUp(Model* model, const Clock& clock, absl::Duration max_step) {
  const ModelInfo& info = model->info();
  const int large = std::min({info.max_batch, info.slots, kLargestWarmUpBatch});
  auto measure = [&](int batch) {
    return info.world ? MeasureWorld(model, &clock, batch) : MeasureVoice(model, &clock, batch);
  };
  auto one = measure(1);
  if (!one.ok()) return one.status();
  auto many = large == 1 ? one : measure(large);
  if (!many.ok()) return many.status();
  ModelCosts costs{.block = one->block, .media = one->media};
  StepCosts steps;
  for (const auto& [step, cost] : one->steps) {
    const auto& [stage, frames] = step;
    const LinearCost fit = FitCost(1, cost, large, many->Of(stage, frames));
    if (large > 1) {
      costs.steps.push_back({stage, frames, fit});
      steps.Set(0, stage, frames, fit);
    }
    LogDebug("step_cost", {{"model", info.name},
                           {"stage", std::string(StageName(stage))},
                           {"frames", frames},
                           {"batch_1_us", absl::ToDoubleMicroseconds(cost)},
                           {"batch_n_us", absl::ToDoubleMicroseconds(many->Of(stage, frames))},
                           {"n", large}});
  }
  costs.session = {.frame = FitCost(1, FrameCost(info, *one), large, FrameCost(info, *many)),
                   .period = PeriodOf(info),
                   .start_up = FitCost(1, StartUpCost(info, *one), large, StartUpCost(info, *many)),
                   .batch = steps.LargestBatch(0, Stage::kGenerate, 0, max_step, info.max_batch)};
  return costs;
}

}  // namespace firstbyte

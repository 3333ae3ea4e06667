// Lane::WarmUp: every stage of every model once at batch 1 and once at the largest batch.

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "nlohmann/json.hpp"
#include "server/scheduler/lane.h"

namespace firstbyte {
namespace {

constexpr char kText[] = "The quick brown fox jumps over the lazy dog beside the river.";
constexpr int kDecodeFrames[] = {1, 4, 8, 16};
constexpr int kLargestWarmUpBatch = 32;
constexpr int kWarmUpBlocks = 3;

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
    for (Session* session : raw_) session->Take();
    if (!status.ok()) return status;
    for (const absl::Status& each : report.session_status) {
      if (!each.ok()) return each;
    }
    return cost;
  }

 private:
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
};

struct StageCost {
  Stage stage;
  int frames;
  absl::Duration cost;
};

// The cost of each stage at this batch size. A second pass over a stage overwrites the first, so
// that first-touch page faults are not counted.
absl::StatusOr<std::vector<StageCost>> MeasureVoice(Model* model, const Clock* clock, int batch) {
  Cohort cohort(model, clock);
  if (auto opened = cohort.OpenVoices(batch); !opened.ok()) return opened;
  std::vector<StageCost> costs;
  auto run = [&](Stage stage, int frames, int steps) -> absl::Status {
    absl::Duration last;
    for (int i = 0; i < steps; ++i) {
      auto cost = cohort.Step(stage, frames);
      if (!cost.ok()) return cost.status();
      if (*cost) last = **cost;
    }
    if (last > absl::ZeroDuration()) costs.push_back({stage, frames, last});
    return absl::OkStatus();
  };
  absl::Status status = run(Stage::kPrefill, 0, 2);
  for (int frames : kDecodeFrames) {
    // One frame more than is decoded covers a codec that looks ahead.
    if (status.ok()) status = run(Stage::kGenerate, 0, frames + 1);
    if (status.ok()) status = run(Stage::kDecode, frames, 1);
  }
  if (!status.ok()) return status;
  return costs;
}

// The same for a world: its scene, then blocks. `block`: what the last one took up to its pictures.
absl::StatusOr<std::vector<StageCost>> MeasureWorld(Model* model, const Clock* clock, int batch,
                                                    absl::Duration* block) {
  Cohort cohort(model, clock);
  if (auto opened = cohort.OpenWorlds(batch); !opened.ok()) return opened;
  const int frames = model->info().world->frames_per_block;
  std::vector<StageCost> costs;
  // Runs `stage` until it has nothing more to do; returns what its steps took in all.
  auto run = [&](Stage stage) -> absl::StatusOr<absl::Duration> {
    absl::Duration total;
    while (true) {
      auto cost = cohort.Step(stage, 0);
      if (!cost.ok()) return cost.status();
      if (!*cost) return total;
      total += **cost;
      costs.push_back({stage, stage == Stage::kDecode ? frames : 0, **cost});
    }
  };
  if (auto prefill = run(Stage::kPrefill); !prefill.ok()) return prefill.status();
  for (int i = 0; i < kWarmUpBlocks; ++i) {
    if (auto begun = cohort.BeginBlock(); !begun.ok()) return begun;
    *block = absl::ZeroDuration();
    for (Stage stage : {Stage::kGenerate, Stage::kDecode, Stage::kCommit}) {
      auto cost = run(stage);
      if (!cost.ok()) return cost.status();
      if (stage != Stage::kCommit) *block += *cost;
    }
  }
  return costs;
}

}  // namespace

absl::Status Lane::WarmUp() {
  for (size_t m = 0; m < models_.size(); ++m) {
    const ModelInfo& info = models_[m]->info();
    const int large = std::min({info.max_batch, info.slots, kLargestWarmUpBatch});
    auto measure = [&](int batch, absl::Duration* block) {
      Model* model = models_[m].get();
      return info.world ? MeasureWorld(model, options_.clock, batch, block)
                        : MeasureVoice(model, options_.clock, batch);
    };
    absl::Duration many_blocks;
    auto one = measure(1, &block_costs_[m]);
    if (!one.ok()) return one.status();
    if (large == 1) continue;
    auto many = measure(large, &many_blocks);
    if (!many.ok()) return many.status();
    for (const StageCost& a : *one) {
      for (const StageCost& b : *many) {
        if (a.stage != b.stage || a.frames != b.frames) continue;
        costs_.Set(static_cast<int>(m), a.stage, a.frames, FitCost(1, a.cost, large, b.cost));
        LogDebug("step_cost", {{"model", info.name},
                               {"stage", std::string(StageName(a.stage))},
                               {"frames", a.frames},
                               {"batch_1_us", absl::ToDoubleMicroseconds(a.cost)},
                               {"batch_n_us", absl::ToDoubleMicroseconds(b.cost)},
                               {"n", large}});
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace firstbyte

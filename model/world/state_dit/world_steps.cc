#include "model/world/state_dit/world_steps.h"

namespace firstbyte::state_dit {

WorldStep::WorldStep(int max_batch) {
  running.reserve(max_batch);
  places.reserve(max_batch);
  passes.reserve(max_batch);
}

WorldSteps::WorldSteps(const World& world, int max_batch)
    : world_(world), dynamics_(world.config, max_batch), views_(world.config, max_batch) {
  moves_.reserve(max_batch);
  views_wanted_.reserve(max_batch);
}

bool WorldSteps::Choose(Stage stage, absl::Span<Session* const> batch, WorldStep* step) {
  step->stage = stage;
  step->running.clear();
  step->places.clear();
  step->passes.clear();
  for (size_t i = 0; i < batch.size(); ++i) {
    if (!CanRun(batch[i]->work(), stage)) continue;
    step->running.push_back(static_cast<WorldSession*>(batch[i]));
    step->places.push_back(i);
  }
  return !step->running.empty();
}

// A prefill is the seed frame, or one frame of a recache: about what a generate step costs.
void WorldSteps::Fill(WorldStep* step) {
  if (step->stage == Stage::kGenerate) Move(*step);
  if (step->stage != Stage::kCommit) See(*step);
  for (WorldSession* session : step->running) step->passes.push_back(session->NextPass());
}

void WorldSteps::Move(const WorldStep& step) {
  moves_.clear();
  for (WorldSession* session : step.running) {
    if (session->WantsMove()) moves_.push_back(session->NextMove());
  }
  if (!moves_.empty()) world_.dynamics.Advance(moves_, &dynamics_);
}

void WorldSteps::See(const WorldStep& step) {
  views_wanted_.clear();
  for (WorldSession* session : step.running) {
    if (session->WantsView()) views_wanted_.push_back(session->NextView());
  }
  if (views_wanted_.empty()) return;
  world_.renderer.See(views_wanted_, /*always=*/false, &views_);
  for (WorldSession* session : step.running) {
    if (session->WantsView()) session->FinishView();
  }
}

void WorldSteps::Finish(const WorldStep& step, absl::Span<absl::Status> statuses) {
  for (size_t i = 0; i < step.running.size(); ++i) {
    if (step.stage == Stage::kGenerate) {
      statuses[step.places[i]] = step.running[i]->FinishDenoise();
    } else {
      step.running[i]->FinishCommit();
    }
  }
}

void WorldSteps::FinishDecode(const WorldStep& step, const float* pixels) {
  for (WorldSession* session : step.running) {
    session->FinishDecode(pixels);
    pixels += kPicture * kPicture * 3;
  }
}

}  // namespace firstbyte::state_dit

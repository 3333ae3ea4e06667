// What the CPU does of a step, wherever its networks run: moves, views, rows.
//
//   Choose -> Fill -> the DiT's pass over step.passes -> Finish
//   Choose -> the decoder, of the latents of step.running -> FinishDecode
// Made once for a lane; not thread-safe.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "model/world/state_dit/session.h"
#include "model/world/state_dit/world.h"

namespace firstbyte::state_dit {

// Who takes part in a step, and what they give the DiT.
struct WorldStep {
  explicit WorldStep(int max_batch);

  Stage stage = Stage::kGenerate;
  std::vector<WorldSession*> running;
  std::vector<size_t> places;   // of `running` in the batch
  std::vector<PassRow> passes;  // parallel to `running`; point into sessions
};

class WorldSteps {
 public:
  // `world` must outlive it.
  WorldSteps(const World& world, int max_batch);

  // Those of the batch that have `stage` in their work(). False: nobody.
  static bool Choose(Stage stage, absl::Span<Session* const> batch, WorldStep* step);
  // Prefill, generate, commit: all that comes before the DiT. A prefill is a commit, too.
  void Fill(WorldStep* step);
  // The DiT's outputs have been written. statuses: parallel to the batch.
  static void Finish(const WorldStep& step, absl::Span<absl::Status> statuses);
  // `pixels`: [64, 64, 3] of each running session.
  static void FinishDecode(const WorldStep& step, const float* pixels);

 private:
  void Move(const WorldStep& step);
  void See(const WorldStep& step);  // for those that are about to begin a frame

  const World& world_;
  Dynamics::Buffers dynamics_;
  Renderer::Buffers views_;
  std::vector<MoveRow> moves_;
  std::vector<Renderer::Place> views_wanted_;
};

}  // namespace firstbyte::state_dit

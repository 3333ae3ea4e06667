// Sessions of one lane that advance together, for the benchmarks of worlds.
#pragma once

#include <memory>
#include <vector>

#include "model/world/state_dit/state_dit.h"

namespace firstbyte {

// Ends the process with the error.
void Check(const absl::Status& status);

// Walks on the spot, a little to the right. Touched by one thread; `model` must outlive it.
class Cohort {
 public:
  // Opens `batch` sessions and fills their rings.
  Cohort(state_dit::StateDit* model, int batch);

  void Act();  // begins a block
  void Step(Stage stage);
  // From Act() to the frames, then what writes them into the cache.
  void Make();
  void Commit() { Step(Stage::kCommit); }
  void TakeAll();

  Session* first() const { return raw_[0]; }

 private:
  state_dit::StateDit* const model_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<Session*> raw_;
};

}  // namespace firstbyte

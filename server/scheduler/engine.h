// The resident models, their lanes and the ledger that guards them: what a stream asks for a place.
//
// Thread-safe after Create(). Outlives every stream.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/scheduler/admission.h"
#include "server/scheduler/lane.h"
#include "server/scheduler/lane_watch.h"

namespace firstbyte {

class Engine {
 public:
  // lane_models[lane][model]: the same models in the same order for every lane. Warms every lane
  // up and starts it.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(
      std::vector<std::vector<std::unique_ptr<Model>>> lane_models, const LaneOptions& options,
      AdmissionLimits limits = {});

  const std::vector<const ModelInfo*>& models() const { return infos_; }
  // Index of the voice model that `model` and `voice` name (empty: any); kNotFound says which is
  // unknown.
  absl::StatusOr<int> Find(absl::string_view model, absl::string_view voice) const;
  // Index of the world of this name (empty: the first one).
  absl::StatusOr<int> FindWorld(absl::string_view model) const;
  // Any lane's copy: Prepare() and info() do not depend on it.
  const Model& model(int index) const { return lanes_[0]->model(index); }

  // One block of this world from its actions to its pictures, alone, as measured at warm-up.
  absl::Duration block_cost(int index) const { return lanes_[0]->block_cost(index); }

  Lane& lane(int index) { return *lanes_[index]; }
  AdmissionLedger& admission() { return ledger_; }

  // A lane's thread stands still and cannot be joined: once the streams have read what became of
  // them, end the process instead of destroying this.
  bool stalled() const { return stalled_; }

 private:
  Engine(std::vector<const ModelInfo*> infos, std::vector<std::vector<int>> slots,
         const AdmissionLimits& limits);

  void Watch(const LaneOptions& options);

  std::atomic<bool> stalled_ = false;
  AdmissionLedger ledger_;  // before the lanes, whose sessions hold seats of it
  std::vector<std::unique_ptr<Lane>> lanes_;
  const std::vector<const ModelInfo*> infos_;
  std::unique_ptr<LaneWatch> watch_;
};

}  // namespace firstbyte

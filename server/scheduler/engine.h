// The models that are served, their lanes and the ledger that guards them: what a stream asks for
// a place.
//
// A model is resident from the start, or lazy: listed from its config alone and loaded when a
// stream first needs it, on a thread of its own, while the lanes run on.
//
// Thread-safe after Create(). Outlives every stream.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strand.h"
#include "server/scheduler/admission.h"
#include "server/scheduler/lane.h"
#include "server/scheduler/lane_watch.h"

namespace firstbyte {

struct LazyModel {
  ModelInfo info;  // as DescribeModelFolder() says it
  // One copy for each lane. Blocks.
  std::function<absl::StatusOr<std::vector<std::unique_ptr<Model>>>()> open;
};

class Engine {
 public:
  // lane_models[lane][model]: the same models in the same order for every lane; warms them up.
  // `lazy` come after them, so that a resident one is the default where there is one.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(
      std::vector<std::vector<std::unique_ptr<Model>>> lane_models, const LaneOptions& options,
      AdmissionLimits limits = {}, std::vector<LazyModel> lazy = {});
  ~Engine();  // waits for a load that is under way

  // What model `index` of the ledger says of itself. A lazy one moves and gains a version when it
  // is loaded; both places live as long as the engine.
  int model_count() const { return static_cast<int>(entries_.size()); }
  const ModelInfo& info(int index) const { return *entries_[index]->info.load(); }
  std::vector<const ModelInfo*> models() const;  // of all, in ledger order
  // Index of the voice model that `model` and `voice` name (empty: any); kNotFound says which is
  // unknown.
  absl::StatusOr<int> Find(absl::string_view model, absl::string_view voice) const;
  // Index of the world of this name (empty: the first one).
  absl::StatusOr<int> FindWorld(absl::string_view model) const;

  // True: the model is resident. False: it is loaded, once for all who ask meanwhile, and then
  // `done` is called on the loading thread. A load that fails is MODEL_LOAD_FAILED for all of them,
  // and the next who asks tries again.
  using LoadDone = std::function<void(const absl::Status&)>;
  bool EnsureLoaded(int index, LoadDone done);
  bool resident(int index) const { return entries_[index]->model.load() != nullptr; }

  // Any lane's copy of a resident model: Prepare() and info() do not depend on it.
  const Model& model(int index) const { return *entries_[index]->model.load(); }
  // One block of this world from its actions to its pictures, alone, as measured at warm-up; zero
  // before it is resident.
  absl::Duration block_cost(int index) const;

  int lanes() const { return static_cast<int>(lanes_.size()); }
  Lane& lane(int index) { return *lanes_[index]; }
  AdmissionLedger& admission() { return ledger_; }

  // A lane's thread stands still and cannot be joined: once the streams have read what became of
  // them, end the process instead of destroying this.
  bool stalled() const { return stalled_; }

 private:
  struct Entry {
    LazyModel lazy;             // `open` is empty for one that was resident from the start
    std::list<ModelInfo> said;  // by it, the newest last; added to by whoever loads it
    std::atomic<const ModelInfo*> info = nullptr;  // the newest
    absl::Duration block_cost;                     // set before `model`
    std::atomic<const Model*> model = nullptr;     // lane 0's copy
    std::vector<LoadDone> waiting;                 // guarded by mu_
  };

  Engine(std::vector<LazyModel> listed, int lanes, const LaneOptions& options,
         const AdmissionLimits& limits);
  std::unique_ptr<Lane> NewLane(int index, const LaneOptions& options);
  void Watch(const LaneOptions& options);
  absl::Status Install(int index, std::vector<std::unique_ptr<Model>> copies);
  absl::Status Load(int index);
  void LoadAndTell(int index);

  const Clock& clock_;
  const absl::Duration max_step_;
  std::atomic<bool> stalled_ = false;
  AdmissionLedger ledger_;  // before the lanes, whose sessions hold seats of it
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<std::unique_ptr<Entry>> entries_;
  mutable Mutex mu_;
  std::atomic<bool> stopping_ = false;
  std::unique_ptr<ThreadPool> loader_;  // one thread, if any model is lazy
  std::unique_ptr<LaneWatch> watch_;
};

}  // namespace firstbyte

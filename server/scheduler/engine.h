// The models that are served, their lanes and the ledger that guards them: what a stream asks for
// a place.
//
// A model is resident from the start, or lazy: listed from its config alone and loaded when a
// stream first needs it, on a thread of its own, while the lanes run on. One that was unloaded is
// lazy again.
//
// A seat of the ledger keeps its model resident: streams take one before they ask for the model,
// and a model is unloaded once the ledger admits nobody to it and nobody has a seat of it.
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
#include "server/scheduler/model_source.h"

namespace firstbyte {

class Engine {
 public:
  // lane_models[lane][model]: the same models in the same order for every lane; warms them up.
  // `lazy` come after them, so that a resident one is the default where there is one. `sources` are
  // those of the resident ones, in their order; some or all may be missing.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(
      std::vector<std::vector<std::unique_ptr<Model>>> lane_models, const LaneOptions& options,
      AdmissionLimits limits = {}, std::vector<LazyModel> lazy = {},
      std::vector<ModelSource> sources = {});
  ~Engine();  // waits for a load that is under way

  int model_count() const { return static_cast<int>(entries_.size()); }
  // What model `index` of the ledger says of itself. A lazy one moves and gains a version when it
  // is loaded; both places live as long as the engine.
  const ModelInfo& info(int index) const { return *entries_[index]->info.load(); }
  std::vector<const ModelInfo*> models() const;  // of all, in ledger order
  const ModelSource& source(int index) const { return entries_[index]->source; }
  ModelStanding standing(int index) const;
  bool resident(int index) const;
  // Index of the voice model that `model` and `voice` name (empty: any); kNotFound says which is
  // unknown.
  absl::StatusOr<int> Find(absl::string_view model, absl::string_view voice) const;
  // Index of the world of this name (empty: the first one).
  absl::StatusOr<int> FindWorld(absl::string_view model) const;

  using ModelDone = std::function<void(const absl::Status&)>;
  // True: the model is resident. False: it is loaded, once for all who ask meanwhile, and then
  // `done` is called on the loading thread. A load that fails is MODEL_LOAD_FAILED for all of them,
  // and the next who asks tries again. A stream has its seat before it asks.
  bool EnsureLoaded(int index, ModelDone done);

  // Admits nobody to the model, waits until its streams are over, gives its memory back on all
  // lanes and then calls `done`; at once where it is not resident. kFailedPrecondition
  // MODEL_LOADING, MODEL_UNLOADING (by somebody else) or MODEL_STAYS (it has no source).
  void Unload(int index, ModelDone done);
  // Gives up an Unload() that waits for streams: its `done` hears kAborted MODEL_KEPT.
  void Keep(int index);

  // Model::Prepare() for whoever has a seat. kUnavailable MODEL_UNLOADED when it has none any more
  // and the model is gone.
  absl::StatusOr<std::unique_ptr<Prepared>> Prepare(int index, const RawInput& input) const;
  // One block of this world from its actions to its pictures, alone, as measured at warm-up; zero
  // before it is resident.
  absl::Duration block_cost(int index) const;
  MediaCosts media_costs(int index) const;  // the same of its encoders

  int lanes() const { return static_cast<int>(lanes_.size()); }
  Lane& lane(int index) { return *lanes_[index]; }
  AdmissionLedger& admission() { return ledger_; }

  // A lane's thread stands still and cannot be joined: once the streams have read what became of
  // them, end the process instead of destroying this.
  bool stalled() const { return stalled_; }

 private:
  struct Entry {
    ModelSource source;
    std::list<ModelInfo> said;  // by the model, as listed first; added to by whoever loads it
    std::atomic<const ModelInfo*> info = nullptr;  // what it said last
    // Guarded by mu_.
    std::shared_ptr<const Model> model;  // lane 0's copy; null: not resident
    absl::Duration block_cost;
    MediaCosts media_costs;
    std::vector<ModelDone> waiting;  // not empty: it is being loaded
    ModelDone unloaded;              // set: it is being unloaded
    absl::Status failure;            // of the last load
  };

  Engine(std::vector<LazyModel> listed, int lanes, const LaneOptions& options,
         const AdmissionLimits& limits);
  std::unique_ptr<Lane> NewLane(int index, LaneOptions options);
  std::unique_ptr<LaneWatch> NewWatch(const LaneOptions& options);

  // engine_models.cc
  absl::Status Install(int index, std::vector<std::unique_ptr<Model>> copies);
  absl::Status Load(int index);
  void LoadAndTell(int index);
  absl::Status TestUnload(const Entry& entry) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Free(int index);

  const Clock& clock_;
  const absl::Duration max_step_;
  std::atomic<bool> stalled_ = false;
  AdmissionLedger ledger_;  // before the lanes, whose sessions hold seats of it
  // Before the lanes, whose streams read them as they end.
  std::vector<std::unique_ptr<Entry>> entries_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  mutable Mutex mu_;
  std::atomic<bool> stopping_ = false;
  std::unique_ptr<ThreadPool> loader_;  // one thread, if any model has a source
  std::unique_ptr<LaneWatch> watch_;    // unless stall_timeout is 0
};

}  // namespace firstbyte

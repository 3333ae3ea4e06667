// Engine, its models: loaded, in use, unloaded. Loading and freeing happen on the loader's thread,
// one after the other.

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/log.h"
#include "nlohmann/json.hpp"
#include "server/scheduler/engine.h"

namespace firstbyte {
namespace {

constexpr absl::Duration kRetryLoad = absl::Seconds(5);

absl::Status InTheWay(absl::string_view reason, absl::string_view name, absl::string_view why) {
  return Error(absl::StatusCode::kFailedPrecondition, reason,
               absl::StrCat("model '", name, "' ", why));
}

// Whether a model is what its config said, in all that streams were told or have relied on.
bool IsAsListed(const ModelInfo& info, ModelInfo listed) {
  listed.version = info.version;
  listed.slot_bytes = info.slot_bytes;
  if (listed.world && info.world) listed.world->state_bytes = info.world->state_bytes;
  return info == listed;
}

}  // namespace

// ---- Loading. ----

// Warm before the lanes know of it, so that no step of theirs waits.
absl::Status Engine::Install(int index, std::vector<std::unique_ptr<Model>> copies) {
  std::vector<ModelCosts> costs;
  for (const auto& copy : copies) {
    if (stopping_) return absl::CancelledError("the server stops");
    auto measured = WarmUp(copy.get(), clock_, max_step_);
    if (!measured.ok()) return measured.status();
    costs.push_back(*std::move(measured));
  }
  Entry& entry = *entries_[index];
  const absl::Duration block_cost = costs[0].block;
  const MediaCosts media_costs = costs[0].media;
  const std::vector<std::shared_ptr<Model>> shared(std::make_move_iterator(copies.begin()),
                                                   std::make_move_iterator(copies.end()));
  const ModelInfo& says = shared[0]->info();
  if (says != *entry.info) entry.info = &entry.said.emplace_back(says);
  for (size_t i = 0; i < lanes_.size(); ++i) {
    ledger_.SetCost(index, static_cast<int>(i), costs[i].session);
    lanes_[i]->Add(index, shared[i], std::move(costs[i]));
  }
  MutexLock lock(&mu_);
  entry.block_cost = block_cost;
  entry.media_costs = media_costs;
  entry.model = shared[0];
  return absl::OkStatus();
}

absl::Status Engine::Load(int index) {
  if (stopping_) return absl::CancelledError("the server stops");
  const Entry& entry = *entries_[index];
  auto copies = entry.source.open();
  if (!copies.ok()) return copies.status();
  if (copies->size() != lanes_.size()) return absl::InternalError("not a copy for each lane");
  if (!IsAsListed((*copies)[0]->info(), entry.said.front())) {
    return absl::FailedPreconditionError("its config has changed since the server started");
  }
  return Install(index, *std::move(copies));
}

void Engine::LoadAndTell(int index) {
  Entry& entry = *entries_[index];
  const std::string& name = info(index).name;
  const absl::Time begin = clock_.Now();
  const absl::Status loaded = Load(index);
  const double seconds = absl::ToDoubleSeconds(clock_.Now() - begin);
  absl::Status told;
  if (loaded.ok()) {
    LogInfo("model_loaded", {{"model", name}, {"seconds", seconds}});
  } else {
    LogError("model_not_loaded",
             {{"model", name}, {"seconds", seconds}, {"status", loaded.ToString()}});
    // What is wrong with the folder is the operator's business, not the client's.
    told = Error(absl::StatusCode::kUnavailable,
                 {.reason = "MODEL_LOAD_FAILED", .retry_after = kRetryLoad},
                 absl::StrCat("model '", name, "' could not be loaded; the server's log says why"));
  }
  std::vector<ModelDone> waiting;
  {
    MutexLock lock(&mu_);
    entry.failure = loaded;
    waiting.swap(entry.waiting);
  }
  for (const ModelDone& done : waiting) done(told);
}

bool Engine::EnsureLoaded(int index, ModelDone done) {
  Entry& entry = *entries_[index];
  MutexLock lock(&mu_);
  if (entry.model) return true;
  entry.waiting.push_back(std::move(done));
  if (entry.waiting.size() == 1) loader_->Post([this, index] { LoadAndTell(index); });
  return false;
}

// ---- In use. ----

bool Engine::resident(int index) const {
  MutexLock lock(&mu_);
  return entries_[index]->model != nullptr;
}

ModelStanding Engine::standing(int index) const {
  using State = ModelStanding::State;
  const Entry& entry = *entries_[index];
  MutexLock lock(&mu_);
  if (entry.unloaded) return {State::kUnloading, ""};
  if (entry.model) return {State::kLoaded, ""};
  if (!entry.waiting.empty()) return {State::kLoading, ""};
  if (!entry.failure.ok()) return {State::kFailed, entry.failure.ToString()};
  return {State::kUnloaded, ""};
}

absl::Duration Engine::block_cost(int index) const {
  const Entry& entry = *entries_[index];
  MutexLock lock(&mu_);
  return entry.model ? entry.block_cost : absl::ZeroDuration();
}

MediaCosts Engine::media_costs(int index) const {
  const Entry& entry = *entries_[index];
  MutexLock lock(&mu_);
  return entry.model ? entry.media_costs : MediaCosts();
}

absl::StatusOr<std::unique_ptr<Prepared>> Engine::Prepare(int index, const RawInput& input) const {
  std::shared_ptr<const Model> model;  // whose memory stays until this is done
  {
    MutexLock lock(&mu_);
    model = entries_[index]->model;
  }
  if (!model) {
    return Error(absl::StatusCode::kUnavailable, "MODEL_UNLOADED",
                 absl::StrCat("model '", info(index).name, "' was unloaded"));
  }
  return model->Prepare(input);
}

// ---- Unloading. ----

absl::Status Engine::TestUnload(const Entry& entry) const {
  const std::string& name = entry.said.front().name;
  if (!entry.waiting.empty()) return InTheWay("MODEL_LOADING", name, "is being loaded");
  if (entry.unloaded) return InTheWay("MODEL_UNLOADING", name, "is being unloaded already");
  if (entry.source.open) return absl::OkStatus();
  return InTheWay("MODEL_STAYS", name, "could not be loaded again");
}

// Whoever was admitted before Close() has a seat, which keeps the model. Whoever is admitted after
// Free() has opened the ledger again finds that the model is not resident, and has it loaded.
void Engine::Unload(int index, ModelDone done) {
  Entry& entry = *entries_[index];
  absl::Status refused;
  {
    MutexLock lock(&mu_);
    refused = TestUnload(entry);
    if (refused.ok() && entry.model) {
      entry.unloaded = std::move(done);
      ledger_.Close(index, [this, index] { loader_->Post([this, index] { Free(index); }); });
      return;
    }
  }
  done(refused);
}

void Engine::Keep(int index) {
  Entry& entry = *entries_[index];
  ModelDone done;
  {
    MutexLock lock(&mu_);
    if (!entry.unloaded || !ledger_.CancelClose(index)) return;
    done = std::exchange(entry.unloaded, nullptr);
  }
  done(Error(absl::StatusCode::kAborted, "MODEL_KEPT", "the model is kept after all"));
}

void Engine::Free(int index) {
  Entry& entry = *entries_[index];
  std::vector<std::shared_ptr<const Model>> copies;
  ModelDone done;
  {
    MutexLock lock(&mu_);
    copies.push_back(std::move(entry.model));
    done = std::exchange(entry.unloaded, nullptr);
  }
  ledger_.Open(index);
  for (auto& lane : lanes_) copies.push_back(lane->Remove(index));
  copies.clear();  // on this thread, so that no lane waits for it
  LogInfo("model_unloaded", {{"model", info(index).name}});
  done(absl::OkStatus());
}

}  // namespace firstbyte

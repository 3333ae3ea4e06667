#include "server/scheduler/engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

constexpr int kLoaderNice = 5;  // behind the lanes
constexpr absl::Duration kRetryLoad = absl::Seconds(5);

bool HasVoice(const ModelInfo& info, absl::string_view voice) {
  return std::any_of(info.voices.begin(), info.voices.end(),
                     [&](const VoiceInfo& v) { return v.name == voice; });
}

// Whether a model is what its config said, in all that streams were told or have relied on.
bool IsAsListed(const ModelInfo& info, ModelInfo listed) {
  listed.version = info.version;
  listed.slot_bytes = info.slot_bytes;
  if (listed.world && info.world) listed.world->state_bytes = info.world->state_bytes;
  return info == listed;
}

std::vector<std::vector<int>> SlotsOf(const std::vector<LazyModel>& listed, int lanes) {
  std::vector<std::vector<int>> slots;
  for (const LazyModel& model : listed) slots.emplace_back(lanes, model.info.slots);
  return slots;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(
    std::vector<std::vector<std::unique_ptr<Model>>> lane_models, const LaneOptions& options,
    AdmissionLimits limits, std::vector<LazyModel> lazy) {
  std::vector<LazyModel> listed;
  for (const auto& model : lane_models.at(0)) listed.push_back({model->info(), nullptr});
  const int resident = static_cast<int>(listed.size());
  std::move(lazy.begin(), lazy.end(), std::back_inserter(listed));
  limits.max_step = options.policy.max_step;
  limits.clock = options.clock;
  std::unique_ptr<Engine> engine(
      new Engine(std::move(listed), static_cast<int>(lane_models.size()), options, limits));
  for (int i = 0; i < resident; ++i) {
    std::vector<std::unique_ptr<Model>> copies;
    for (auto& models : lane_models) copies.push_back(std::move(models[i]));
    if (auto warm = engine->Install(i, std::move(copies)); !warm.ok()) return warm;
  }
  for (auto& lane : engine->lanes_) lane->Start();
  if (options.stall_timeout > absl::ZeroDuration()) engine->Watch(options);
  return engine;
}

Engine::Engine(std::vector<LazyModel> listed, int lanes, const LaneOptions& options,
               const AdmissionLimits& limits)
    : clock_(*options.clock),
      max_step_(options.policy.max_step),
      ledger_(SlotsOf(listed, lanes), limits) {
  bool any_lazy = false;
  for (LazyModel& model : listed) {
    any_lazy |= model.open != nullptr;
    entries_.push_back(std::make_unique<Entry>());
    entries_.back()->info = &entries_.back()->said.emplace_back(model.info);
    entries_.back()->lazy = std::move(model);
  }
  for (int i = 0; i < lanes; ++i) lanes_.push_back(NewLane(i, options));
  if (!any_lazy) return;
  loader_ = std::make_unique<ThreadPool>(1, "model_loader");
  loader_->Post([] { LowerThisThreadsPriority(kLoaderNice); });
}

Engine::~Engine() {
  stopping_ = true;
  loader_.reset();
}

std::unique_ptr<Lane> Engine::NewLane(int index, const LaneOptions& options) {
  LaneOptions own = options;
  own.index = index;
  own.on_cost = [this, index](absl::Duration predicted, absl::Duration took) {
    ledger_.ObserveStep(index, predicted, took);
  };
  own.on_device_lost = [this, told = options.on_device_lost](const absl::Status& status) {
    ledger_.StartDraining();
    if (told) told(status);
  };
  return std::make_unique<Lane>(static_cast<int>(entries_.size()), std::move(own));
}

void Engine::Watch(const LaneOptions& options) {
  LaneWatch::Options watch{.timeout = options.stall_timeout};
  for (auto& lane : lanes_) {
    watch.iterations.emplace_back([&lane = *lane] { return lane.iteration(); });
  }
  watch.on_stall = [this, told = options.on_device_lost](int stalled) {
    const absl::Status status =
        Error(absl::StatusCode::kUnavailable, "LANE_STALLED", "the device stands still; try again");
    LogError("lane_stalled", {{"lane", stalled}});
    stalled_ = true;
    ledger_.StartDraining();
    for (auto& lane : lanes_) lane->Abandon(status);
    if (told) told(status);
  };
  watch_ = std::make_unique<LaneWatch>(std::move(watch));
  watch_->Start();
}

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
  entry.block_cost = costs[0].block;
  const Model* const model = copies[0].get();
  if (model->info() != *entry.info) entry.info = &entry.said.emplace_back(model->info());
  for (size_t i = 0; i < lanes_.size(); ++i) {
    ledger_.SetCost(index, static_cast<int>(i), costs[i].session);
    lanes_[i]->Add(index, std::move(copies[i]), std::move(costs[i]));
  }
  entry.model = model;
  return absl::OkStatus();
}

absl::Status Engine::Load(int index) {
  if (stopping_) return absl::CancelledError("the server stops");
  const LazyModel& lazy = entries_[index]->lazy;
  auto copies = lazy.open();
  if (!copies.ok()) return copies.status();
  if (copies->size() != lanes_.size()) return absl::InternalError("not a copy for each lane");
  if (!IsAsListed((*copies)[0]->info(), lazy.info)) {
    return absl::FailedPreconditionError("its config has changed since the server started");
  }
  return Install(index, *std::move(copies));
}

void Engine::LoadAndTell(int index) {
  Entry& entry = *entries_[index];
  const std::string& name = entry.lazy.info.name;
  const absl::Time begin = clock_.Now();
  absl::Status status = Load(index);
  const double seconds = absl::ToDoubleSeconds(clock_.Now() - begin);
  if (status.ok()) {
    LogInfo("model_loaded", {{"model", name}, {"seconds", seconds}});
  } else {
    LogError("model_not_loaded",
             {{"model", name}, {"seconds", seconds}, {"status", status.ToString()}});
    // What is wrong with the folder is the operator's business, not the client's.
    status = Error(
        absl::StatusCode::kUnavailable, {.reason = "MODEL_LOAD_FAILED", .retry_after = kRetryLoad},
        absl::StrCat("model '", name, "' could not be loaded; the server's log says why"));
  }
  std::vector<LoadDone> waiting;
  {
    MutexLock lock(&mu_);
    waiting.swap(entry.waiting);
  }
  for (const LoadDone& done : waiting) done(status);
}

bool Engine::EnsureLoaded(int index, LoadDone done) {
  Entry& entry = *entries_[index];
  MutexLock lock(&mu_);
  if (resident(index)) return true;
  entry.waiting.push_back(std::move(done));
  if (entry.waiting.size() == 1) loader_->Post([this, index] { LoadAndTell(index); });
  return false;
}

absl::Duration Engine::block_cost(int index) const {
  return resident(index) ? entries_[index]->block_cost : absl::ZeroDuration();
}

std::vector<const ModelInfo*> Engine::models() const {
  std::vector<const ModelInfo*> infos;
  for (const auto& entry : entries_) infos.push_back(entry->info);
  return infos;
}

absl::StatusOr<int> Engine::Find(absl::string_view model, absl::string_view voice) const {
  std::vector<std::string> models, voices;
  const std::vector<const ModelInfo*> infos = this->models();
  for (size_t i = 0; i < infos.size(); ++i) {
    const ModelInfo& info = *infos[i];
    if (info.world) continue;
    models.push_back(info.name);
    if (!model.empty() && info.name != model) continue;
    if (voice.empty() || HasVoice(info, voice)) return static_cast<int>(i);
    for (const VoiceInfo& v : info.voices) voices.push_back(v.name);
  }
  if (voices.empty()) {
    return Error(absl::StatusCode::kNotFound, "MODEL_NOT_FOUND",
                 absl::StrCat("no model '", model, "'; there is: ", absl::StrJoin(models, ", ")),
                 "config.model");
  }
  return Error(absl::StatusCode::kNotFound, "VOICE_NOT_FOUND",
               absl::StrCat("no voice '", voice, "'; there is: ", absl::StrJoin(voices, ", ")),
               "config.voice");
}

absl::StatusOr<int> Engine::FindWorld(absl::string_view model) const {
  std::vector<std::string> worlds;
  const std::vector<const ModelInfo*> infos = models();
  for (size_t i = 0; i < infos.size(); ++i) {
    if (!infos[i]->world) continue;
    if (model.empty() || infos[i]->name == model) return static_cast<int>(i);
    worlds.push_back(infos[i]->name);
  }
  return Error(absl::StatusCode::kNotFound, "MODEL_NOT_FOUND",
               absl::StrCat("no world '", model,
                            "'; there is: ", worlds.empty() ? "none" : absl::StrJoin(worlds, ", ")),
               "open.model");
}

}  // namespace firstbyte

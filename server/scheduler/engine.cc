#include "server/scheduler/engine.h"

#include <algorithm>
#include <iterator>
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

bool HasVoice(const ModelInfo& info, absl::string_view voice) {
  return std::any_of(info.voices.begin(), info.voices.end(),
                     [&](const VoiceInfo& v) { return v.name == voice; });
}

std::vector<std::vector<int>> SlotsOf(const std::vector<LazyModel>& listed, int lanes) {
  std::vector<std::vector<int>> slots;
  for (const LazyModel& model : listed) slots.emplace_back(lanes, model.info.slots);
  return slots;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(
    std::vector<std::vector<std::unique_ptr<Model>>> lane_models, const LaneOptions& options,
    AdmissionLimits limits, std::vector<LazyModel> lazy, std::vector<ModelSource> sources) {
  std::vector<LazyModel> listed;
  sources.resize(lane_models.at(0).size());
  for (const auto& model : lane_models[0]) {
    listed.push_back({model->info(), std::move(sources[listed.size()])});
  }
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
  if (engine->watch_) engine->watch_->Start();
  return engine;
}

Engine::Engine(std::vector<LazyModel> listed, int lanes, const LaneOptions& options,
               const AdmissionLimits& limits)
    : clock_(*options.clock),
      max_step_(options.policy.max_step),
      ledger_(SlotsOf(listed, lanes), limits) {
  bool any_source = false;
  for (LazyModel& model : listed) {
    any_source |= model.source.open != nullptr;
    Entry& entry = *entries_.emplace_back(std::make_unique<Entry>());
    entry.info = &entry.said.emplace_back(std::move(model.info));
    entry.source = std::move(model.source);
  }
  LaneOptions own = options;
  own.on_device_lost = [this, told = options.on_device_lost](const absl::Status& status) {
    ledger_.StartDraining();
    if (told) told(status);
  };
  for (int i = 0; i < lanes; ++i) lanes_.push_back(NewLane(i, own));
  if (options.stall_timeout > absl::ZeroDuration()) watch_ = NewWatch(own);
  if (!any_source) return;
  loader_ = std::make_unique<ThreadPool>(1, "model_loader");
  loader_->Post([] { LowerThisThreadsPriority(kLoaderNice); });
}

Engine::~Engine() {
  stopping_ = true;
  for (int i = 0; i < model_count(); ++i) Keep(i);
  loader_.reset();
}

std::unique_ptr<Lane> Engine::NewLane(int index, LaneOptions options) {
  options.index = index;
  options.on_cost = [this, index](absl::Duration predicted, absl::Duration took) {
    ledger_.ObserveStep(index, predicted, took);
  };
  options.on_catching_up = [this, index](absl::Span<const int> by_model) {
    ledger_.ObserveCatchingUp(index, by_model);
  };
  return std::make_unique<Lane>(static_cast<int>(entries_.size()), std::move(options));
}

std::unique_ptr<LaneWatch> Engine::NewWatch(const LaneOptions& options) {
  LaneWatch::Options watch{.timeout = options.stall_timeout};
  for (auto& lane : lanes_) {
    watch.iterations.emplace_back([&lane = *lane] { return lane.iteration(); });
  }
  watch.on_stall = [this, lost = options.on_device_lost](int stalled) {
    const absl::Status status =
        Error(absl::StatusCode::kUnavailable, "LANE_STALLED", "the device stands still; try again");
    LogError("lane_stalled", {{"lane", stalled}});
    stalled_ = true;
    ledger_.StartDraining();  // before the clients hear of it, who may come again at once
    for (auto& lane : lanes_) lane->Abandon(status);
    lost(status);
  };
  return std::make_unique<LaneWatch>(std::move(watch));
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

#include "server/scheduler/engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "base/log.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

bool HasVoice(const ModelInfo& info, absl::string_view voice) {
  return std::any_of(info.voices.begin(), info.voices.end(),
                     [&](const VoiceInfo& v) { return v.name == voice; });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(
    std::vector<std::vector<std::unique_ptr<Model>>> lane_models, const LaneOptions& options,
    AdmissionLimits limits) {
  std::vector<const ModelInfo*> infos;
  std::vector<std::vector<int>> slots;
  for (const auto& model : lane_models.at(0)) {
    infos.push_back(&model->info());
    slots.emplace_back(lane_models.size(), model->info().slots);
  }
  limits.max_step = options.policy.max_step;
  limits.clock = options.clock;
  std::unique_ptr<Engine> engine(new Engine(std::move(infos), std::move(slots), limits));
  for (int i = 0; i < static_cast<int>(lane_models.size()); ++i) {
    LaneOptions own = options;
    own.index = i;
    own.on_cost = [ledger = &engine->ledger_, i](absl::Duration predicted, absl::Duration took) {
      ledger->ObserveStep(i, predicted, took);
    };
    own.on_device_lost = [self = engine.get(), told = options.on_device_lost](const auto& status) {
      self->ledger_.StartDraining();
      if (told) told(status);
    };
    auto lane = std::make_unique<Lane>(std::move(lane_models[i]), std::move(own));
    if (auto warm = lane->WarmUp(); !warm.ok()) return warm;
    for (int m = 0; m < static_cast<int>(engine->infos_.size()); ++m) {
      engine->ledger_.SetCost(m, i, lane->session_cost(m));
    }
    engine->lanes_.push_back(std::move(lane));
  }
  for (auto& lane : engine->lanes_) lane->Start();
  if (options.stall_timeout > absl::ZeroDuration()) engine->Watch(options);
  return engine;
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

Engine::Engine(std::vector<const ModelInfo*> infos, std::vector<std::vector<int>> slots,
               const AdmissionLimits& limits)
    : ledger_(std::move(slots), limits), infos_(std::move(infos)) {}

absl::StatusOr<int> Engine::Find(absl::string_view model, absl::string_view voice) const {
  std::vector<std::string> models, voices;
  for (size_t i = 0; i < infos_.size(); ++i) {
    const ModelInfo& info = *infos_[i];
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
  for (size_t i = 0; i < infos_.size(); ++i) {
    if (!infos_[i]->world) continue;
    if (model.empty() || infos_[i]->name == model) return static_cast<int>(i);
    worlds.push_back(infos_[i]->name);
  }
  return Error(absl::StatusCode::kNotFound, "MODEL_NOT_FOUND",
               absl::StrCat("no world '", model,
                            "'; there is: ", worlds.empty() ? "none" : absl::StrJoin(worlds, ", ")),
               "open.model");
}

}  // namespace firstbyte

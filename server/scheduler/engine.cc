#include "server/scheduler/engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"

namespace firstbyte {
namespace {

bool HasVoice(const ModelInfo& info, absl::string_view voice) {
  return std::any_of(info.voices.begin(), info.voices.end(),
                     [&](const VoiceInfo& v) { return v.name == voice; });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(
    std::vector<std::vector<std::unique_ptr<Model>>> lane_models, const LaneOptions& options) {
  std::vector<const ModelInfo*> infos;
  std::vector<std::vector<int>> slots;
  for (const auto& model : lane_models.at(0)) {
    infos.push_back(&model->info());
    slots.emplace_back(lane_models.size(), model->info().slots);
  }
  std::vector<std::unique_ptr<Lane>> lanes;
  for (auto& models : lane_models) {
    lanes.push_back(std::make_unique<Lane>(std::move(models), options));
    if (auto warm = lanes.back()->WarmUp(); !warm.ok()) return warm;
  }
  for (auto& lane : lanes) lane->Start();
  return std::unique_ptr<Engine>(new Engine(std::move(lanes), std::move(infos), std::move(slots)));
}

Engine::Engine(std::vector<std::unique_ptr<Lane>> lanes, std::vector<const ModelInfo*> infos,
               std::vector<std::vector<int>> slots)
    : ledger_(std::move(slots)), lanes_(std::move(lanes)), infos_(std::move(infos)) {}

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

// What main() of the faulty server opens instead of models: the scripted one, which does what it is
// named for ("stalls", "dies", "throws"; else nothing) in the first step after the file "now"
// appears in --models-dir.

#include <unistd.h>

#include <filesystem>
#include <new>

#include "model/scripted.h"
#include "server/models.h"

namespace firstbyte {
namespace {

absl::Status Fault(const std::string& kind) {
  if (kind == "throws") throw std::bad_alloc();
  while (kind == "stalls") pause();
  return kind == "dies" ? absl::InternalError("the device is gone") : absl::OkStatus();
}

}  // namespace

absl::StatusOr<ServedModels> OpenModels(const Config& config,
                                        const std::optional<cuda::GpuOptions>& /*gpus*/,
                                        const std::string& /*binary*/) {
  const std::string kind = config.models.at(0), now = config.models_dir + "/now";
  ServedModels models;
  models.lanes.resize(config.lanes);
  for (auto& lane : models.lanes) {
    lane.push_back(MakeScriptedModel({.on_step = [kind, now](Stage, int) {
      return std::filesystem::exists(now) ? Fault(kind) : absl::OkStatus();
    }}));
  }
  return models;
}

}  // namespace firstbyte

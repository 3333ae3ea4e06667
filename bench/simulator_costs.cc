// Reading simulator::Costs.

#include <cmath>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "bench/simulator.h"
#include "nlohmann/json.hpp"

namespace firstbyte::simulator {
namespace {

using nlohmann::json;

// Thrown by the functions below and caught in ParseCosts().
[[noreturn]] void Refuse(const std::string& what) { throw std::invalid_argument(what); }

double Number(const json& in, const char* name, double least) {
  const double value = in.at(name).get<double>();
  if (!std::isfinite(value) || value < least || value > 1e9) {
    Refuse(absl::StrCat(name, " is not a number from ", least));
  }
  return value;
}

Stage ReadStage(const std::string& name) {
  for (int i = 0; i < kStageCount; ++i) {
    if (name == StageName(static_cast<Stage>(i))) return static_cast<Stage>(i);
  }
  Refuse(absl::StrCat("no stage '", name, "'"));
}

std::vector<StepCost> ReadSteps(const json& in) {
  std::vector<StepCost> steps;
  for (const json& one : in.at("steps")) {
    steps.push_back({.stage = ReadStage(one.at("stage").get<std::string>()),
                     .frames = one.value("frames", 0),
                     .cost = {absl::Microseconds(1) * Number(one, "fixed_us", 0),
                              absl::Microseconds(1) * Number(one, "per_session_us", 0)}});
  }
  return steps;
}

Costs Read(const json& in) {
  Costs costs;
  if (in.contains("voice")) {
    costs.voice = ReadSteps(in["voice"]);
    costs.voice_frames_per_second = Number(in["voice"], "frames_per_second", 1);
  }
  if (in.contains("world")) {
    costs.world = ReadSteps(in["world"]);
    costs.world_frames_per_second = Number(in["world"], "frames_per_second", 1);
    costs.passes = static_cast<int>(Number(in["world"], "passes", 1));
    costs.scene_slices = static_cast<int>(Number(in["world"], "scene_slices", 1));
  }
  costs.per_message = absl::Microseconds(1) * Number(in, "per_message_us", 0);
  return costs;
}

}  // namespace

absl::StatusOr<Costs> ParseCosts(const std::string& text) {
  try {
    return Read(json::parse(text));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("step costs: ", error.what()));
  }
}

}  // namespace firstbyte::simulator

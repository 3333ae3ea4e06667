#include "server/scheduler/flight_log.h"

#include <stdexcept>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

using Json = nlohmann::json;
using Kind = FlightPushed::Kind;

constexpr int kVersion = 1;
constexpr std::pair<Kind, const char*> kKinds[] = {{Kind::kPrepared, "prepared"},
                                                   {Kind::kMarker, "marker"},
                                                   {Kind::kEnd, "end"},
                                                   {Kind::kActions, "actions"},
                                                   {Kind::kReset, "reset"}};

// ---- To text. ----

Json ToJson(const RawInput& said) {
  Json json = {{"text", said.text}};
  if (!said.embedding.empty()) json["embedding"] = said.embedding;
  if (!said.image) return json;
  const auto* pixels = reinterpret_cast<const char*>(said.image->data.data());
  json["image"] = {{"width", said.image->width},
                   {"height", said.image->height},
                   {"rgb", absl::Base64Escape({pixels, said.image->data.size()})}};
  return json;
}

Json ToJson(const BlockActions& actions) {
  std::vector<int> keys;
  for (int i = 0; i < WorldInfo::kMaxKeys; ++i) {
    if (actions.keys[i]) keys.push_back(i);
  }
  return {{"keys", keys},
          {"pointer", {actions.pointer_dx, actions.pointer_dy}},
          {"scroll", actions.scroll},
          {"axes", actions.axes}};
}

Json ToJson(const FlightOpened& opened) {
  Json json = {{"event", "open"},       {"session", opened.session},
               {"model", opened.model}, {"voice", opened.voice},
               {"seed", opened.seed},   {"speaking_rate", opened.speaking_rate},
               {"world", opened.world}};
  if (opened.scene) json["scene"] = ToJson(*opened.scene);
  if (opened.state) json["state"] = absl::Base64Escape(*opened.state);
  return json;
}

Json ToJson(const FlightPushed& pushed) {
  Json json = {{"event", "push"}, {"session", pushed.session}};
  for (const auto& [kind, name] : kKinds) {
    if (kind == pushed.kind) json["kind"] = name;
  }
  if (pushed.said) json["said"] = ToJson(*pushed.said);
  if (pushed.actions) json["actions"] = ToJson(*pushed.actions);
  return json;
}

template <typename Step>
Json ToJson(const Step& step, const char* event) {
  Json json = {{"event", event},
               {"model", step.model},
               {"stage", std::string(StageName(step.stage))},
               {"frames", step.frames},
               {"sessions", step.sessions}};
  if (step.number > 0) json["number"] = step.number;
  return json;
}

Json ToJson(const FlightSubmitted& step) { return ToJson(step, "submit"); }

Json ToJson(const FlightStepped& step) {
  Json json = ToJson(step, "step");
  json["took_us"] = absl::ToDoubleMicroseconds(step.took);
  json["ok"] = step.ok;
  return json;
}

Json ToJson(const FlightEnded& ended) {
  return {{"event", ended.open ? "open_still" : "end"},
          {"session", ended.session},
          {"code", static_cast<int>(ended.code)},
          {"media_bytes", ended.media_bytes},
          {"digest", ended.digest}};
}

void AddLine(const Json& json, std::string* text) {
  absl::StrAppend(text, json.dump(-1, ' ', false, Json::error_handler_t::replace), "\n");
}

// ---- From text. What throws, nlohmann's functions too, is caught in ParseFlightLogs(). ----

std::string Unescaped(const Json& json) {
  std::string bytes;
  if (!absl::Base64Unescape(json.get_ref<const std::string&>(), &bytes)) {
    throw std::invalid_argument("no base64");
  }
  return bytes;
}

RawInput ToInput(const Json& json) {
  RawInput said{.text = json.at("text")};
  if (json.contains("embedding")) said.embedding = json["embedding"].get<std::vector<float>>();
  if (!json.contains("image")) return said;
  const Json& image = json["image"];
  const std::string rgb = Unescaped(image.at("rgb"));
  said.image = RgbImage{image.at("width"), image.at("height"), {rgb.begin(), rgb.end()}};
  const auto size = int64_t{3} * said.image->width * said.image->height;
  if (said.image->width <= 0 || static_cast<int64_t>(rgb.size()) != size) {
    throw std::invalid_argument("an image of another size");
  }
  return said;
}

BlockActions ToActions(const Json& json) {
  BlockActions actions{.pointer_dx = json.at("pointer").at(0),
                       .pointer_dy = json.at("pointer").at(1),
                       .scroll = json.at("scroll"),
                       .axes = json.at("axes").get<std::vector<float>>()};
  for (const Json& key : json.at("keys")) {
    const int index = key;
    if (index < 0 || index >= WorldInfo::kMaxKeys) {
      throw std::invalid_argument("no such key");
    }
    actions.keys[index] = true;
  }
  return actions;
}

FlightOpened ToOpened(const Json& json) {
  FlightOpened opened{.session = json.at("session"),
                      .model = json.at("model"),
                      .voice = json.at("voice"),
                      .seed = json.at("seed"),
                      .speaking_rate = json.at("speaking_rate"),
                      .world = json.at("world")};
  if (json.contains("scene")) opened.scene = std::make_shared<RawInput>(ToInput(json["scene"]));
  if (json.contains("state")) {
    opened.state = std::make_shared<std::string>(Unescaped(json["state"]));
  }
  return opened;
}

FlightPushed ToPushed(const Json& json) {
  FlightPushed pushed{.session = json.at("session")};
  bool known = false;
  for (const auto& [kind, name] : kKinds) {
    if (json.at("kind") != name) continue;
    pushed.kind = kind;
    known = true;
  }
  if (!known) throw std::invalid_argument("no such kind of input");
  if (json.contains("said")) pushed.said = std::make_shared<RawInput>(ToInput(json["said"]));
  if (json.contains("actions")) {
    pushed.actions = std::make_shared<BlockActions>(ToActions(json["actions"]));
  }
  return pushed;
}

template <typename Step>
Step ToStep(const Json& json) {
  Step step{.number = json.value("number", int64_t{0}),
            .model = json.at("model"),
            .frames = json.at("frames"),
            .sessions = json.at("sessions").get<std::vector<uint64_t>>()};
  for (int i = 0; i < kStageCount; ++i) {
    const auto stage = static_cast<Stage>(i);
    if (json.at("stage") == std::string(StageName(stage))) step.stage = stage;
  }
  return step;
}

FlightStepped ToStepped(const Json& json) {
  auto step = ToStep<FlightStepped>(json);
  step.took = absl::Microseconds(json.at("took_us").get<double>());
  step.ok = json.at("ok");
  return step;
}

FlightEnded ToEnded(const Json& json) {
  return {.session = json.at("session"),
          .open = json.at("event") == "open_still",
          .code = static_cast<absl::StatusCode>(json.at("code").get<int>()),
          .media_bytes = json.at("media_bytes"),
          .digest = json.at("digest")};
}

FlightEvent ToEvent(const Json& json) {
  FlightEvent event{.time = absl::Microseconds(json.at("us").get<double>())};
  const std::string what = json.at("event");
  if (what == "open") event.what = ToOpened(json);
  if (what == "push") event.what = ToPushed(json);
  if (what == "submit") event.what = ToStep<FlightSubmitted>(json);
  if (what == "step") event.what = ToStepped(json);
  if (what == "end" || what == "open_still") event.what = ToEnded(json);
  return event;
}

FlightLog ToLog(const Json& json) {
  if (json.at("flight") != kVersion) {
    throw std::invalid_argument("another version of this file");
  }
  FlightLog log{
      .lane = json.at("lane"), .inputs = json.at("inputs"), .dropped = json.at("dropped")};
  for (const Json& model : json.at("models")) {
    log.models.push_back(model.at("name"));
    log.digests.push_back(model.at("digest"));
  }
  return log;
}

}  // namespace

std::string ToText(const FlightLog& log) {
  Json head = {{"flight", kVersion},
               {"lane", log.lane},
               {"inputs", log.inputs},
               {"dropped", log.dropped},
               {"models", Json::array()}};
  for (size_t i = 0; i < log.models.size(); ++i) {
    head["models"].push_back({{"name", log.models[i]}, {"digest", log.digests[i]}});
  }
  std::string text;
  AddLine(head, &text);
  for (const auto& event : log.events) {
    Json json = std::visit([](const auto& what) { return ToJson(what); }, event->what);
    json["us"] = absl::ToDoubleMicroseconds(event->time);
    AddLine(json, &text);
  }
  return text;
}

absl::StatusOr<std::vector<FlightLog>> ParseFlightLogs(absl::string_view text) {
  std::vector<FlightLog> logs;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (line.empty()) continue;
    try {
      const Json json = Json::parse(line.begin(), line.end());
      if (json.contains("flight")) {
        logs.push_back(ToLog(json));
      } else if (logs.empty()) {
        throw std::invalid_argument("the first line says nothing of a flight");
      } else {
        logs.back().events.push_back(std::make_shared<const FlightEvent>(ToEvent(json)));
      }
    } catch (const std::exception& e) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, ": ", e.what()));
    }
  }
  if (logs.empty()) return absl::InvalidArgumentError("line 1: there is nothing here");
  return logs;
}

}  // namespace firstbyte

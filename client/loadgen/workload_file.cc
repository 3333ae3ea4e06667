#include "client/loadgen/workload_file.h"

#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include <yaml-cpp/yaml.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace firstbyte {
namespace {

constexpr int kMostWords = 10'000;
constexpr int kMostBlocks = 1'000'000;
constexpr int kTextsOfALength = 16;

[[noreturn]] void Wrong(const YAML::Node& node, const std::string& what) {
  throw YAML::RepresentationException(node.Mark(), what);
}

using Fields = std::map<std::string, std::function<void(const YAML::Node&)>>;

void ReadFields(const YAML::Node& node, const std::string& where, const Fields& fields) {
  if (!node.IsMap()) Wrong(node, where + " must hold names and values");
  for (const auto& entry : node) {
    const auto name = entry.first.as<std::string>();
    auto field = fields.find(name);
    if (field == fields.end()) Wrong(entry.first, where + " has no '" + name + "'");
    field->second(entry.second);
  }
}

template <typename T>
T Number(const YAML::Node& node, T least, T most) {
  const T value = node.as<T>();
  if (!(value >= least && value <= most)) {
    Wrong(node, absl::StrCat("must be from ", least, " to ", most));
  }
  return value;
}

template <typename T>
T Known(const YAML::Node& node, absl::StatusOr<T> value) {
  if (!value.ok()) Wrong(node, std::string(value.status().message()));
  return *value;
}

// A list, or one value as a list of one; not empty.
std::vector<YAML::Node> List(const YAML::Node& node) {
  if (!node.IsSequence()) return {node};
  std::vector<YAML::Node> list(node.begin(), node.end());
  if (list.empty()) Wrong(node, "must not be empty");
  return list;
}

std::vector<std::string> Strings(const YAML::Node& node) {
  std::vector<std::string> strings;
  for (const YAML::Node& one : List(node)) strings.push_back(one.as<std::string>());
  return strings;
}

void ReadSpeech(const YAML::Node& node, WorkloadSpec* spec) {
  ReadFields(
      node, "speech",
      {{"texts", [&](const auto& value) { spec->texts = Strings(value); }},
       {"words",
        [&](const auto& value) {
          spec->texts.clear();
          for (const YAML::Node& one : List(value)) {
            const int words = Number(one, 1, kMostWords);
            for (uint64_t i = 0; i < kTextsOfALength; ++i) {
              spec->texts.push_back(TextOfWords(words, i));
            }
          }
        }},
       {"voices", [&](const auto& value) { spec->voices = Strings(value); }},
       {"model",
        [&](const auto& value) { spec->config.set_model(value.template as<std::string>()); }},
       {"speaking_rate",
        [&](const auto& value) { spec->config.set_speaking_rate(Number(value, 0.1f, 10.0f)); }},
       {"encodings", [&](const auto& value) {
          for (const YAML::Node& one : List(value)) {
            spec->encodings.push_back(Known(one, EncodingNamed(one.as<std::string>())));
          }
        }}});
}

void ReadAction(const YAML::Node& node, WorldScript* script) {
  v1::Actions action;
  int repeat = 1;
  ReadFields(node, "an action",
             {{"keys",
               [&](const auto& value) {
                 for (const std::string& key : Strings(value)) action.add_keys(key);
               }},
              {"pointer_dx",
               [&](const auto& value) { action.set_pointer_dx(Number(value, -1.0f, 1.0f)); }},
              {"pointer_dy",
               [&](const auto& value) { action.set_pointer_dy(Number(value, -1.0f, 1.0f)); }},
              {"scroll", [&](const auto& value) { action.set_scroll(value.template as<float>()); }},
              {"axes",
               [&](const auto& value) {
                 for (const auto& axis : value) {
                   (*action.mutable_axes())[axis.first.template as<std::string>()] =
                       Number(axis.second, -1.0f, 1.0f);
                 }
               }},
              {"for", [&](const auto& value) { repeat = Number(value, 1, kMostBlocks); }}});
  script->actions.insert(script->actions.end(), repeat, action);
}

absl::StatusOr<v1::VideoFormat> VideoNamed(absl::string_view name) {
  if (name == "jpeg") return v1::VIDEO_FORMAT_JPEG;
  if (name == "png") return v1::VIDEO_FORMAT_PNG;
  if (name == "raw_rgb") return v1::VIDEO_FORMAT_RAW_RGB;
  return absl::InvalidArgumentError(absl::StrCat("'", name, "' is not jpeg, png or raw_rgb"));
}

void ReadWorld(const YAML::Node& node, WorldScript* script) {
  ReadFields(
      node, "world",
      {{"model", [&](const auto& value) { script->model = value.template as<std::string>(); }},
       {"prompt", [&](const auto& value) { script->prompt = value.template as<std::string>(); }},
       {"pacing",
        [&](const auto& value) {
          script->pacing = Known(value, PacingNamed(value.template as<std::string>()));
        }},
       {"target_fps", [&](const auto& value) { script->target_fps = Number(value, 0.0, 240.0); }},
       {"blocks", [&](const auto& value) { script->blocks = Number(value, 1, kMostBlocks); }},
       {"video",
        [&](const auto& value) {
          script->video = Known(value, VideoNamed(value.template as<std::string>()));
        }},
       {"actions", [&](const auto& value) {
          script->actions.clear();
          for (const YAML::Node& one : List(value)) ReadAction(one, script);
        }}});
}

}  // namespace

absl::StatusOr<v1::AudioEncoding> EncodingNamed(absl::string_view name) {
  if (name == "pcm16") return v1::AUDIO_ENCODING_PCM16;
  if (name == "wav") return v1::AUDIO_ENCODING_WAV;
  if (name == "opus") return v1::AUDIO_ENCODING_OPUS;
  return absl::InvalidArgumentError(absl::StrCat("'", name, "' is not pcm16, wav or opus"));
}

absl::StatusOr<v1::Pacing> PacingNamed(absl::string_view name) {
  if (name == "lockstep") return v1::PACING_LOCKSTEP;
  if (name == "realtime") return v1::PACING_REALTIME;
  if (name == "free_run") return v1::PACING_FREE_RUN;
  return absl::InvalidArgumentError(
      absl::StrCat("'", name, "' is not lockstep, realtime or free_run"));
}

// yaml-cpp throws; nothing above this function sees it.
absl::Status ReadWorkload(const std::string& text, absl::string_view name, WorkloadSpec* spec) {
  try {
    ReadFields(YAML::Load(text), "a workload",
               {{"speech", [&](const auto& value) { ReadSpeech(value, spec); }},
                {"world", [&](const auto& value) { ReadWorld(value, &spec->world); }}});
  } catch (const YAML::Exception& error) {
    const std::string where = error.mark.is_null() ? "" : absl::StrCat(":", error.mark.line + 1);
    return absl::InvalidArgumentError(absl::StrCat(name, where, ": ", error.msg));
  }
  return absl::OkStatus();
}

}  // namespace firstbyte

#include "client/play/script.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/utf8.h"

namespace firstbyte {
namespace {

constexpr int kMaxBlocks = 1'000'000;  // of one step

using Words = std::vector<std::string>;

absl::Status Wrong(int line, absl::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", message));
}

bool ParseFloat(const std::string& word, float* value) {
  return absl::SimpleAtof(word, value) && std::isfinite(*value);
}

absl::Status ParseBlocks(const std::string& word, ScriptStep* step) {
  if (absl::SimpleAtoi(word, &step->blocks) && step->blocks >= 1 && step->blocks <= kMaxBlocks) {
    return absl::OkStatus();
  }
  return Wrong(step->line, absl::StrCat("'", word, "' is no number of blocks, 1 to ", kMaxBlocks));
}

absl::Status ParsePrompt(absl::string_view rest, ScriptStep* step) {
  step->kind = ScriptStep::Kind::kPrompt;
  if (rest.size() < 2 || rest.front() != '"' || rest.back() != '"') {
    return Wrong(step->line, "write a prompt in quotes: prompt \"a snowy night\"");
  }
  step->prompt = std::string(rest.substr(1, rest.size() - 2));
  if (!IsUtf8(step->prompt)) return Wrong(step->line, "the prompt is not UTF-8");
  return absl::OkStatus();
}

// pointer DX [DY] BLOCKS
absl::Status ParsePointer(const Words& words, ScriptStep* step) {
  float dx = 0, dy = 0;
  bool good = words.size() == 3 || words.size() == 4;
  good = good && ParseFloat(words[1], &dx) && (words.size() == 3 || ParseFloat(words[2], &dy));
  if (!good) return Wrong(step->line, "pointer wants DX BLOCKS or DX DY BLOCKS: pointer 0.3 5");
  step->actions.set_pointer_dx(dx);
  step->actions.set_pointer_dy(dy);
  return ParseBlocks(words.back(), step);
}

absl::Status ParseScroll(const Words& words, ScriptStep* step) {
  float turns = 0;
  if (words.size() < 2 || words.size() > 3 || !ParseFloat(words[1], &turns)) {
    return Wrong(step->line, "scroll wants TURNS BLOCKS: scroll 1 3");
  }
  step->actions.set_scroll(turns);
  return words.size() == 3 ? ParseBlocks(words[2], step) : absl::OkStatus();
}

absl::Status ParseAxis(const Words& words, ScriptStep* step) {
  float position = 0;
  if (words.size() < 3 || words.size() > 4 || !ParseFloat(words[2], &position) ||
      std::abs(position) > 1) {
    return Wrong(step->line, "axis wants NAME POSITION BLOCKS, the position from -1 to 1");
  }
  (*step->actions.mutable_axes())[words[1]] = position;
  return words.size() == 4 ? ParseBlocks(words[3], step) : absl::OkStatus();
}

absl::Status ParseKeys(const Words& words, ScriptStep* step) {
  if (words.size() > 2) return Wrong(step->line, "a step is KEYS BLOCKS: turn_left+forward 8");
  if (words[0] != "wait") {
    for (absl::string_view key : absl::StrSplit(words[0], '+')) {
      if (key.empty()) return Wrong(step->line, "a key's name is missing beside '+'");
      step->actions.add_keys(key.data(), key.size());
    }
  }
  return words.size() == 2 ? ParseBlocks(words[1], step) : absl::OkStatus();
}

absl::Status ParseLine(absl::string_view line, ScriptStep* step) {
  const Words words = absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  step->blocks = 1;
  if (words[0] == "prompt") {
    step->blocks = 0;
    return ParsePrompt(absl::StripAsciiWhitespace(line.substr(6)), step);
  }
  if (words[0] == "pointer") return ParsePointer(words, step);
  if (words[0] == "scroll") return ParseScroll(words, step);
  if (words[0] == "axis") return ParseAxis(words, step);
  if (words[0] != "snapshot" && words[0] != "reset") return ParseKeys(words, step);
  step->kind = words[0] == "reset" ? ScriptStep::Kind::kReset : ScriptStep::Kind::kSnapshot;
  step->blocks = 0;
  return words.size() == 1 ? absl::OkStatus()
                           : Wrong(step->line, absl::StrCat(words[0], " stands alone"));
}

template <typename Names>
bool Knows(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

template <typename Names>
absl::Status Unknown(int line, const std::string& name, const Names& known) {
  return Wrong(line, absl::StrCat("this world does not know '", name, "'; it knows ",
                                  known.empty() ? "none" : absl::StrJoin(known, ", ")));
}

}  // namespace

absl::StatusOr<std::vector<ScriptStep>> ParseScript(absl::string_view text) {
  std::vector<ScriptStep> steps;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    // A '#' inside a prompt's quotes is part of it.
    bool quoted = false;
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '"') quoted = !quoted;
      if (line[i] == '#' && !quoted) line = line.substr(0, i);
    }
    line = absl::StripAsciiWhitespace(line);
    if (line.empty()) continue;
    ScriptStep step;
    step.line = number;
    if (auto status = ParseLine(line, &step); !status.ok()) return status;
    steps.push_back(std::move(step));
  }
  return steps;
}

absl::Status CheckScript(const std::vector<ScriptStep>& steps,
                         const v1::ActionVocabulary& vocabulary) {
  for (const ScriptStep& step : steps) {
    for (const std::string& key : step.actions.keys()) {
      if (!Knows(vocabulary.keys(), key)) return Unknown(step.line, key, vocabulary.keys());
    }
    for (const auto& [axis, position] : step.actions.axes()) {
      if (!Knows(vocabulary.axes(), axis)) return Unknown(step.line, axis, vocabulary.axes());
    }
    if (step.actions.pointer_dx() != 0 && !vocabulary.pointer()) {
      return Wrong(step.line, "this world has no pointer");
    }
    if (step.actions.scroll() != 0 && !vocabulary.scroll()) {
      return Wrong(step.line, "this world has no scroll wheel");
    }
  }
  return absl::OkStatus();
}

}  // namespace firstbyte

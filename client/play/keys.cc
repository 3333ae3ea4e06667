#include "client/play/keys.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/utf8.h"

namespace firstbyte {
namespace {

constexpr char kEscape = '\033';
constexpr float kPointerStep = 0.6F;  // of the most that a frame can take

std::string Arrow(char final) {
  switch (final) {
    case 'A':
      return "up";
    case 'B':
      return "down";
    case 'C':
      return "right";
    case 'D':
      return "left";
    default:
      return "";
  }
}

std::string NameOf(int code) {
  if (code == 13 || code == 10) return "enter";
  if (code == 27) return "escape";
  if (code == 127 || code == 8) return "backspace";
  return code >= 32 && code < 127 ? std::string(1, static_cast<char>(code)) : "";
}

// CSI parameters final: arrows, and kitty's "code;modifiers:event u".
std::optional<Keystroke> FromSequence(absl::string_view parameters, char final) {
  std::vector<absl::string_view> fields = absl::StrSplit(parameters, ';');
  std::vector<absl::string_view> modifiers;
  if (fields.size() > 1) modifiers = absl::StrSplit(fields[1], ':');
  Keystroke stroke;
  stroke.exact = final == 'u' || modifiers.size() > 1;
  stroke.released = modifiers.size() > 1 && modifiers[1] == "3";
  int code = 0;
  if (final == 'u') {
    absl::string_view first = fields[0].substr(0, fields[0].find(':'));
    if (!absl::SimpleAtoi(first, &code)) return std::nullopt;
    stroke.key = NameOf(code);
    int modifier = 0;
    bool shifted = !modifiers.empty() && absl::SimpleAtoi(modifiers[0], &modifier) &&
                   ((modifier - 1) & 1) != 0;
    if (shifted && stroke.key.size() == 1) stroke.key[0] = absl::ascii_toupper(stroke.key[0]);
  } else {
    stroke.key = Arrow(final);
  }
  if (stroke.key.empty()) return std::nullopt;
  return stroke;
}

// Length of the escape sequence at the front; 0 when its end has not come yet.
size_t SequenceLength(absl::string_view bytes) {
  if (bytes.size() < 3) return 0;
  for (size_t i = 2; i < bytes.size(); ++i) {
    if (bytes[i] >= 0x40 && bytes[i] <= 0x7e) return i + 1;
  }
  return 0;
}

bool Knows(const v1::ActionVocabulary& vocabulary, absl::string_view name) {
  return std::find(vocabulary.keys().begin(), vocabulary.keys().end(), name) !=
         vocabulary.keys().end();
}

}  // namespace

std::vector<Keystroke> KeyReader::Read(absl::string_view bytes) {
  partial_.append(bytes.data(), bytes.size());
  std::vector<Keystroke> strokes;
  absl::string_view rest = partial_;
  while (!rest.empty()) {
    if (rest[0] == kEscape && rest.size() > 1 && (rest[1] == '[' || rest[1] == 'O')) {
      const size_t length = SequenceLength(rest);
      if (length == 0) break;
      auto stroke = FromSequence(rest.substr(2, length - 3), rest[length - 1]);
      if (stroke) strokes.push_back(*std::move(stroke));
      rest.remove_prefix(length);
      continue;
    }
    const auto lead = static_cast<unsigned char>(rest[0]);
    if (lead < 0x80) {
      if (std::string name = NameOf(lead); !name.empty()) strokes.push_back({name});
      rest.remove_prefix(1);
      continue;
    }
    const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (rest.size() < length) break;
    if (IsUtf8(rest.substr(0, length))) strokes.push_back({std::string(rest.substr(0, length))});
    rest.remove_prefix(length);
  }
  partial_ = std::string(rest);
  return strokes;
}

std::map<std::string, Binding> BindKeys(const v1::ActionVocabulary& vocabulary) {
  // The first name that the world knows wins.
  const std::vector<std::pair<std::string, std::vector<std::string>>> wishes = {
      {"w", {"forward", "w", "up"}},
      {"s", {"back", "backward", "s", "down"}},
      {"a", {"strafe_left", "left", "a", "turn_left"}},
      {"d", {"strafe_right", "right", "d", "turn_right"}},
      {"up", {"forward", "up", "w", "W"}},
      {"down", {"back", "backward", "down", "s", "S"}},
      {"left", {"turn_left", "look_left"}},
      {"right", {"turn_right", "look_right"}},
      {" ", {"jump", "space", "SPACE", "use", "action"}},
  };
  std::map<std::string, Binding> bindings;
  for (const auto& [key, names] : wishes) {
    for (const std::string& name : names) {
      if (!Knows(vocabulary, name)) continue;
      bindings[key].keys = {name};
      break;
    }
  }
  if (vocabulary.pointer() && !bindings.contains("left")) bindings["left"] = {{}, -kPointerStep};
  if (vocabulary.pointer() && !bindings.contains("right")) bindings["right"] = {{}, kPointerStep};
  for (const std::string& name : vocabulary.keys()) {
    if (name.size() == 1) bindings.try_emplace(absl::AsciiStrToLower(name), Binding{{name}});
  }
  return bindings;
}

std::string DescribeBindings(const std::map<std::string, Binding>& bindings) {
  std::vector<std::string> words;
  for (const auto& [key, binding] : bindings) {
    std::string what = binding.keys.empty() ? "look" : absl::StrJoin(binding.keys, "+");
    words.push_back(absl::StrCat(key == " " ? "space" : key, " ", what));
  }
  return absl::StrJoin(words, ", ");
}

bool HeldKeys::Feed(const Keystroke& stroke, absl::Time now) {
  std::string key = stroke.key.size() == 1 ? absl::AsciiStrToLower(stroke.key) : stroke.key;
  if (!bindings_.contains(key)) return false;
  if (stroke.released) {
    until_.erase(key);
  } else {
    until_[key] = stroke.exact ? absl::InfiniteFuture() : now + kHold;
  }
  return true;
}

v1::Actions HeldKeys::Actions(absl::Time now) {
  v1::Actions actions;
  std::set<std::string> names;
  for (auto key = until_.begin(); key != until_.end();) {
    if (key->second <= now) {
      key = until_.erase(key);
      continue;
    }
    const Binding& binding = bindings_.at(key->first);
    names.insert(binding.keys.begin(), binding.keys.end());
    actions.set_pointer_dx(actions.pointer_dx() + binding.pointer_dx);
    ++key;
  }
  for (const std::string& name : names) actions.add_keys(name);
  return actions;
}

absl::Time HeldKeys::NextChange() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [key, until] : until_) next = std::min(next, until);
  return next;
}

}  // namespace firstbyte

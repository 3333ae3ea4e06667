// The table of settings behind config.h: one row a field.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/config/config.h"

namespace firstbyte {

// What a text must look like.
struct TextForm {
  bool (*matches)(absl::string_view text);
  const char* words;  // "a device such as cpu"
};

struct ConfigField {
  const char* key;   // as in YAML; the flag has dashes for underscores
  const char* help;  // one line, without the default
  std::variant<std::string Config::*, int Config::*, absl::Duration Config::*,
               std::vector<std::string> Config::*>
      member;
  double min = 0, max = 0;  // numbers, and durations in seconds; both inclusive
  // Strings: one of these or of this form; neither: anything.
  std::vector<const char*> choices;
  const TextForm* form = nullptr;
};

absl::Span<const ConfigField> ConfigFields();

// "max_lead" -> "--max-lead"
std::string FlagName(const ConfigField& field);

// Sets one field from text, lists separated by commas. Errors say what would be right.
absl::Status SetField(const ConfigField& field, absl::string_view text, Config* config);

// The value as SetField() takes it.
std::string FieldText(const ConfigField& field, const Config& config);

// The word of `known` closest to `word`, or "" when none is close.
std::string Nearest(absl::string_view word, const std::vector<std::string>& known);

}  // namespace firstbyte

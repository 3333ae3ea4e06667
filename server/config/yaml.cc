#include "yaml-cpp/yaml.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/config/config.h"
#include "server/config/fields.h"

namespace firstbyte {
namespace {

const ConfigField* FindField(absl::string_view key) {
  for (const ConfigField& field : ConfigFields()) {
    if (key == field.key) return &field;
  }
  return nullptr;
}

std::string UnknownKey(const std::string& key) {
  std::vector<std::string> known;
  for (const ConfigField& field : ConfigFields()) known.push_back(field.key);
  const std::string nearest = Nearest(key, known);
  return absl::StrCat("unknown key '", key, "'",
                      nearest.empty() ? "" : absl::StrCat("; did you mean '", nearest, "'?"));
}

// A scalar, or a list of scalars, as SetField() takes it.
absl::StatusOr<std::string> ValueText(const YAML::Node& value) {
  if (value.IsNull()) return "";
  if (value.IsScalar()) return value.Scalar();
  if (!value.IsSequence()) return absl::InvalidArgumentError("expected a value or a list");
  std::vector<std::string> items;
  for (const YAML::Node& item : value) {
    if (!item.IsScalar()) return absl::InvalidArgumentError("expected a list of plain values");
    items.push_back(item.Scalar());
  }
  return absl::StrJoin(items, ",");
}

absl::Status ApplyEntry(const std::string& key, const YAML::Node& value, Config* config) {
  const ConfigField* field = FindField(key);
  if (!field) return absl::InvalidArgumentError(UnknownKey(key));
  absl::StatusOr<std::string> text = ValueText(value);
  absl::Status status = text.ok() ? SetField(*field, *text, config) : text.status();
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", status.message()));
}

}  // namespace

absl::Status ApplyYaml(const std::string& text, absl::string_view name, Config* config) {
  auto at = [&](const YAML::Mark& mark, absl::string_view message) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":", mark.line + 1, ": ", message));
  };
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) return absl::OkStatus();
    if (!root.IsMap()) return at(root.Mark(), "expected lines of 'key: value'");
    std::set<std::string> seen;
    for (const auto& entry : root) {
      const YAML::Mark mark = entry.first.Mark();
      if (!entry.first.IsScalar()) return at(mark, "expected 'key: value'");
      const std::string& key = entry.first.Scalar();
      if (!seen.insert(key).second) return at(mark, absl::StrCat("key '", key, "' is repeated"));
      absl::Status status = ApplyEntry(key, entry.second, config);
      if (!status.ok()) return at(mark, status.message());
    }
  } catch (const YAML::Exception& e) {
    return at(e.mark, e.msg);
  }
  return absl::OkStatus();
}

std::string ToYaml(const Config& config) {
  std::string yaml;
  for (const ConfigField& field : ConfigFields()) {
    YAML::Emitter value;
    value << YAML::DoubleQuoted << FieldText(field, config);
    absl::StrAppend(&yaml, "# ", field.help, "\n", field.key, ": ", value.c_str(), "\n");
  }
  return yaml;
}

}  // namespace firstbyte

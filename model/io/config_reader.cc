#include "model/io/config_reader.h"

#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxList = 1000, kMaxObjects = 100;

absl::Status Bad(absl::string_view what) {
  return Invalid("BAD_CONFIG", absl::StrCat("config.json: ", what));
}

bool IsInt(const Json& value, int low, int high) {
  return value.is_number_integer() && value >= low && value <= high;
}

bool IsNumber(const Json& value, double low, double high) {
  return value.is_number() && value.get<double>() >= low && value.get<double>() <= high;
}

}  // namespace

ConfigReader::ConfigReader(const Json* object, std::string prefix, absl::Status* status)
    : object_(object), prefix_(std::move(prefix)), status_(status) {}

const Json* ConfigReader::Find(const char* key) const {
  if (object_ == nullptr || !object_->is_object()) return nullptr;
  auto found = object_->find(key);
  return found == object_->end() ? nullptr : &*found;
}

void ConfigReader::Fail(const char* key, absl::string_view what) {
  if (status_->ok()) *status_ = Bad(absl::StrCat(prefix_, key, " ", what));
}

size_t ConfigReader::Length(const char* key) const {
  const Json* value = Find(key);
  return value != nullptr && value->is_array() ? value->size() : 0;
}

int ConfigReader::Int(const char* key, int low, int high) {
  const Json* value = Find(key);
  if (value != nullptr && IsInt(*value, low, high)) return value->get<int>();
  Fail(key, absl::StrCat("must be an integer from ", low, " to ", high));
  return low;
}

double ConfigReader::Number(const char* key, double low, double high) {
  const Json* value = Find(key);
  if (value != nullptr && IsNumber(*value, low, high)) return value->get<double>();
  Fail(key, absl::StrCat("must be a number from ", low, " to ", high));
  return low;
}

bool ConfigReader::Bool(const char* key) {
  const Json* value = Find(key);
  if (value != nullptr && value->is_boolean()) return value->get<bool>();
  Fail(key, "must be true or false");
  return false;
}

std::string ConfigReader::String(const char* key) {
  const Json* value = Find(key);
  if (value != nullptr && value->is_string()) return value->get<std::string>();
  Fail(key, "must be a string");
  return "";
}

std::vector<std::string> ConfigReader::Strings(const char* key) {
  const Json* value = Find(key);
  std::vector<std::string> strings;
  bool good = value != nullptr && value->is_array() && !value->empty() && value->size() <= kMaxList;
  for (size_t i = 0; good && i < value->size(); ++i) {
    good = (*value)[i].is_string();
    if (good) strings.push_back((*value)[i].get<std::string>());
  }
  if (!good) Fail(key, "must be a list of strings");
  return strings;
}

std::vector<int> ConfigReader::Ints(const char* key, size_t count, int low, int high) {
  const Json* value = Find(key);
  std::vector<int> numbers(count, low);
  bool good = value != nullptr && value->is_array() && value->size() == count;
  for (size_t i = 0; good && i < count; ++i) {
    good = IsInt((*value)[i], low, high);
    if (good) numbers[i] = (*value)[i].get<int>();
  }
  if (!good) Fail(key, absl::StrCat("must be ", count, " integers from ", low, " to ", high));
  return numbers;
}

std::vector<double> ConfigReader::Numbers(const char* key, size_t count, double low, double high) {
  const Json* value = Find(key);
  std::vector<double> numbers(count, low);
  bool good = value != nullptr && value->is_array() && value->size() == count;
  for (size_t i = 0; good && i < count; ++i) {
    good = IsNumber((*value)[i], low, high);
    if (good) numbers[i] = (*value)[i].get<double>();
  }
  if (!good) Fail(key, absl::StrCat("must be ", count, " numbers from ", low, " to ", high));
  return numbers;
}

std::vector<ConfigReader> ConfigReader::Objects(const char* key) {
  const Json* value = Find(key);
  std::vector<ConfigReader> objects;
  if (value != nullptr && value->is_array() && value->size() <= kMaxObjects) {
    for (const Json& item : *value) {
      objects.emplace_back(&item, absl::StrCat(prefix_, key, "[]."), status_);
    }
  }
  if (objects.empty()) Fail(key, "must be a list of objects");
  return objects;
}

ConfigReader ConfigReader::Object(const char* key) {
  return ConfigReader(Find(key), absl::StrCat(prefix_, key, "."), status_);
}

absl::StatusOr<Json> ParseConfigObject(absl::string_view text) {
  Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_object()) return Bad("is not a JSON object");
  return json;
}

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error(absl::StatusCode::kNotFound, "NO_MODEL", absl::StrCat("no ", path));
  std::string text(1 << 20, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

}  // namespace firstbyte

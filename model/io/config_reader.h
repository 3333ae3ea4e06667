// Reads a model folder's config.json with every value checked.
//
// The file is untrusted. The first problem is kept, later reads return a default, and the status
// is looked at once at the end: INVALID_ARGUMENT (BAD_CONFIG), naming the key that is missing, of
// the wrong type or out of range. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"

namespace firstbyte {

// One object of the file. `status` and the parsed file must outlive it.
class ConfigReader {
 public:
  // `prefix` names the object in messages: "" or "acoustic.".
  ConfigReader(const nlohmann::json* object, std::string prefix, absl::Status* status);

  int Int(const char* key, int low, int high);
  void Exactly(const char* key, int number) { Int(key, number, number); }
  double Number(const char* key, double low, double high);
  bool Bool(const char* key);
  std::string String(const char* key);
  std::vector<std::string> Strings(const char* key);  // at least one
  std::vector<int> Ints(const char* key, size_t count, int low, int high);
  std::vector<double> Numbers(const char* key, size_t count, double low, double high);
  std::vector<ConfigReader> Objects(const char* key);  // at least one
  ConfigReader Object(const char* key);
  bool Has(const char* key) const { return Find(key) != nullptr; }
  size_t Length(const char* key) const;  // of a list; 0 when it is none

  void Fail(const char* key, absl::string_view what);

 private:
  const nlohmann::json* Find(const char* key) const;

  const nlohmann::json* object_;  // nullptr or no object: every key is missing
  std::string prefix_;
  absl::Status* status_;
};

// `text` as a JSON object, or BAD_CONFIG.
absl::StatusOr<nlohmann::json> ParseConfigObject(absl::string_view text);

// The first megabyte of a file; NOT_FOUND (NO_MODEL) when there is none.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

}  // namespace firstbyte

// Structured logs: one JSON object a line on stderr, or readable text.
//
// Never log text or audio of a request: privacy is the default (DESIGN.md).
#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"

namespace firstbyte {

enum class LogFormat { kText, kJson };

// Sets format and level ("debug", "info", "warning", "error"). Call once, before threads start.
absl::Status ConfigureLog(LogFormat format, absl::string_view level);

// Changes the level to one that ConfigureLog() knows and returns the one before. Any thread.
std::string SetLogLevel(absl::string_view level);

using LogFields = nlohmann::json;  // an object: {{"model", "rms"}, {"seconds", 0.4}}

// Thread-safe. `event` is a short snake_case name, the same for every occurrence.
void LogDebug(absl::string_view event, const LogFields& fields);
void LogInfo(absl::string_view event, const LogFields& fields);
void LogWarning(absl::string_view event, const LogFields& fields);
void LogError(absl::string_view event, const LogFields& fields);

}  // namespace firstbyte

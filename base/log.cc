#include "base/log.h"

#include "base/error.h"
#include "nlohmann/json.hpp"
#include "spdlog/sinks/stdout_color_sinks.h"
#include "spdlog/spdlog.h"

namespace firstbyte {
namespace {

// The format is fixed before threads start, so plain reads are fine.
LogFormat g_format = LogFormat::kText;

std::shared_ptr<spdlog::logger> Logger() {
  static std::shared_ptr<spdlog::logger> logger = [] {
    auto made = spdlog::stderr_color_mt("firstbyte");
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
    return made;
  }();
  return logger;
}

// Client bytes may be invalid UTF-8: replace, never throw.
std::string Dump(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string Text(absl::string_view event, const LogFields& fields) {
  std::string line(event);
  for (const auto& [key, value] : fields.items()) {
    line += " " + key + "=" + (value.is_string() ? value.get<std::string>() : Dump(value));
  }
  return line;
}

void Write(spdlog::level::level_enum level, absl::string_view event, const LogFields& fields) {
  if (!Logger()->should_log(level)) return;
  std::string line;
  if (g_format == LogFormat::kText) {
    line = Text(event, fields);
  } else {
    // The pattern opens the object with time and level; "event" joins them to the fields.
    line = "\"event\":" + Dump(std::string(event)) +
           (fields.empty() ? "}" : "," + Dump(fields).substr(1));
  }
  Logger()->log(level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

absl::Status ConfigureLog(LogFormat format, absl::string_view level) {
  auto parsed = spdlog::level::from_str(std::string(level));
  if (parsed == spdlog::level::off && level != "off") {
    return Invalid("BAD_LOG_LEVEL", "log level must be debug, info, warning, error or off",
                   "log.level");
  }
  g_format = format;
  Logger()->set_level(parsed);
  Logger()->set_pattern(format == LogFormat::kJson
                            ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v)"
                            : "%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v",
                        spdlog::pattern_time_type::utc);
  return absl::OkStatus();
}

std::string SetLogLevel(absl::string_view level) {
  const spdlog::string_view_t previous = spdlog::level::to_string_view(Logger()->level());
  Logger()->set_level(spdlog::level::from_str(std::string(level)));
  return std::string(previous.data(), previous.size());
}

void LogDebug(absl::string_view event, const LogFields& fields) {
  Write(spdlog::level::debug, event, fields);
}
void LogInfo(absl::string_view event, const LogFields& fields) {
  Write(spdlog::level::info, event, fields);
}
void LogWarning(absl::string_view event, const LogFields& fields) {
  Write(spdlog::level::warn, event, fields);
}
void LogError(absl::string_view event, const LogFields& fields) {
  Write(spdlog::level::err, event, fields);
}

}  // namespace firstbyte

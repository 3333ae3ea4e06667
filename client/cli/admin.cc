#include "client/cli/admin.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/admin_client.h"
#include "client/exit_codes.h"
#include "client/message_json.h"
#include "client/rpc_status.h"
#include "client/table.h"

namespace firstbyte {
namespace {

int Explain(const AdminCommand& command, const absl::Status& status) {
  absl::FPrintF(stderr, "firstbyte: %s\n", ExplainError(status, command.target));
  return kExitFailed;
}

int BadUsage(absl::string_view what) {
  absl::FPrintF(stderr, "firstbyte: %s\n", what);
  return kExitUsage;
}

int Print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return kExitOk;
}

// "LOG_LEVEL_INFO" without "LOG_LEVEL_": "info".
std::string Lower(absl::string_view value, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(value, prefix));
}

int Info(const AdminCommand& command, AdminClient& client) {
  auto info = client.GetServerInfo();
  if (!info.ok()) return Explain(command, info.status());
  if (command.json) return Print(MessageJson(*info) + "\n");
  return Print(Table({{"VERSION", "STATE", "STARTED", "LANES"},
                      {info->version(), Lower(v1::ServerState_Name(info->state()), "SERVER_STATE_"),
                       LocalTime(info->start_time()),
                       info->lanes().empty() ? "-" : absl::StrJoin(info->lanes(), ", ")}}));
}

int Models(const AdminCommand& command, AdminClient& client) {
  auto models = client.ListModels();
  if (!models.ok()) return Explain(command, models.status());
  if (command.json) return Print(MessageJson(*models) + "\n");
  std::vector<std::vector<std::string>> rows = {{"MODEL", "STATE", "WEIGHTS", "DIGEST", "MESSAGE"}};
  for (const v1::Model& model : models->models()) {
    rows.push_back({model.name(), Lower(v1::ModelState_Name(model.state()), "MODEL_STATE_"),
                    model.weight_bytes() > 0 ? Megabytes(model.weight_bytes()) : "-",
                    model.digest().substr(0, 12), model.message()});
  }
  return Print(Table(rows));
}

// False: --within is no duration.
bool ParseWithin(const AdminCommand& command, std::optional<absl::Duration>* within) {
  if (command.within.empty()) return true;
  return absl::ParseDuration(command.within, &within->emplace());
}

int BadWithin(const AdminCommand& command) {
  return BadUsage(absl::StrCat("'", command.within, "' is not a duration, such as 10s"));
}

int Load(const AdminCommand& command, AdminClient& client) {
  auto loaded = client.LoadModel(command.name);
  if (!loaded.ok()) return Explain(command, loaded.status());
  return Print(absl::StrCat(command.name, " is loaded\n"));
}

int Unload(const AdminCommand& command, AdminClient& client) {
  std::optional<absl::Duration> within;
  if (!ParseWithin(command, &within)) return BadWithin(command);
  auto unloaded = client.UnloadModel(command.name, within);
  if (!unloaded.ok()) return Explain(command, unloaded.status());
  return Print(absl::StrCat(command.name, " is unloaded\n"));
}

int Drain(const AdminCommand& command, AdminClient& client) {
  std::optional<absl::Duration> within;
  if (!ParseWithin(command, &within)) return BadWithin(command);
  auto drain = client.Drain(within);
  if (!drain.ok()) return Explain(command, drain.status());
  return Print(absl::StrFormat("draining; %d streams still run\n", drain->session_count()));
}

int LogLevel(const AdminCommand& command, AdminClient& client) {
  v1::LogLevel level = v1::LOG_LEVEL_UNSPECIFIED;
  const std::string name = absl::StrCat("LOG_LEVEL_", absl::AsciiStrToUpper(command.name));
  if (!v1::LogLevel_Parse(name, &level) || level == v1::LOG_LEVEL_UNSPECIFIED) {
    return BadUsage(absl::StrCat("'", command.name, "' is not one of debug, info, warning, error"));
  }
  auto changed = client.SetLogLevel(level);
  if (!changed.ok()) return Explain(command, changed.status());
  const std::string previous = v1::LogLevel_Name(changed->previous_level());
  return Print(absl::StrFormat("%s, was %s\n", absl::AsciiStrToLower(command.name),
                               Lower(previous, "LOG_LEVEL_")));
}

// Calls `get` with a way to write into the file `out`, which goes away again if it fails.
int IntoFile(const AdminCommand& command,
             const std::function<absl::Status(const AdminClient::Write&)>& get) {
  const bool standard = command.out == "-";
  FILE* file = standard ? stdout : std::fopen(command.out.c_str(), "wb");
  const auto failed = [&] {
    return absl::UnknownError(
        absl::StrCat("cannot write ", command.out, ": ", std::strerror(errno)));
  };
  if (file == nullptr) return Explain(command, failed());
  int64_t bytes = 0;
  absl::Status status = get([&](absl::string_view piece) {
    bytes += static_cast<int64_t>(piece.size());
    const bool ok = std::fwrite(piece.data(), 1, piece.size(), file) == piece.size();
    return ok ? absl::OkStatus() : failed();
  });
  if ((standard ? std::fflush(file) : std::fclose(file)) != 0) status.Update(failed());
  if (status.ok() && !standard) {
    absl::FPrintF(stderr, "firstbyte: %s in %s\n", Megabytes(bytes), command.out);
  }
  if (!status.ok() && !standard) std::remove(command.out.c_str());
  return status.ok() ? kExitOk : Explain(command, status);
}

int Trace(const AdminCommand& command, AdminClient& client) {
  absl::Duration duration;
  if (!absl::ParseDuration(command.duration, &duration)) {
    return BadUsage(absl::StrCat("'", command.duration, "' is not a duration, such as 5s"));
  }
  return IntoFile(command, [&](const auto& write) { return client.CaptureTrace(duration, write); });
}

}  // namespace

int Admin(const AdminCommand& command) {
  AdminClient client(command.target);
  if (command.verb == "info") return Info(command, client);
  if (command.verb == "models") return Models(command, client);
  if (command.verb == "drain") return Drain(command, client);
  if (command.verb == "log-level") return LogLevel(command, client);
  if (command.verb == "trace") return Trace(command, client);
  if (command.verb == "flight") {
    return IntoFile(command, [&](const auto& write) { return client.DumpFlight(write); });
  }
  if (command.verb == "load") return Load(command, client);
  if (command.verb == "unload") return Unload(command, client);
  return BadUsage(absl::StrCat("no verb '", command.verb, "'"));
}

}  // namespace firstbyte

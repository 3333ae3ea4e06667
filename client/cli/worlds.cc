#include "client/cli/worlds.h"

#include <cstdio>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/exit_codes.h"
#include "client/rpc_status.h"
#include "client/table.h"
#include "client/world_client.h"

namespace firstbyte {
namespace {

int Explain(const absl::Status& status, const std::string& target) {
  absl::FPrintF(stderr, "firstbyte: %s\n", ExplainError(status, target));
  return kExitFailed;
}

std::string Inputs(const v1::ActionVocabulary& vocabulary) {
  std::vector<std::string> inputs(vocabulary.keys().begin(), vocabulary.keys().end());
  inputs.insert(inputs.end(), vocabulary.axes().begin(), vocabulary.axes().end());
  if (vocabulary.pointer()) inputs.emplace_back("pointer");
  if (vocabulary.scroll()) inputs.emplace_back("scroll");
  return absl::StrJoin(inputs, ",");
}

std::string SoundOf(const v1::World& world) {
  if (world.audio_sample_rate_hertz() == 0) return "-";
  return absl::StrFormat("%g kHz", world.audio_sample_rate_hertz() / 1000.0);
}

std::string StateName(v1::SessionState state) {
  switch (state) {
    case v1::SESSION_STATE_RUNNING:
      return "running";
    case v1::SESSION_STATE_PAUSED:
      return "paused";
    case v1::SESSION_STATE_PARKED:
      return "parked";
    default:
      return "-";
  }
}

std::string SessionTable(const std::vector<v1::WorldSession>& sessions) {
  std::vector<std::vector<std::string>> rows = {
      {"SESSION", "MODEL", "STATE", "NEXT BLOCK", "SIZE", "OPENED", "EXPIRES"}};
  for (const v1::WorldSession& session : sessions) {
    rows.push_back({session.session_id(), session.model(), StateName(session.state()),
                    absl::StrCat(session.next_block()), Megabytes(session.state_bytes()),
                    LocalTime(session.open_time()), LocalTime(session.expire_time())});
  }
  return Table(rows);
}

}  // namespace

int Worlds(const std::string& target) {
  auto worlds = WorldClient(target).ListWorlds();
  if (!worlds.ok()) return Explain(worlds.status(), target);
  std::vector<std::vector<std::string>> rows = {
      {"WORLD", "SIZE", "FRAMES/S", "SOUND", "INPUTS", "DESCRIPTION"}};
  for (const v1::World& world : worlds->worlds()) {
    rows.push_back({absl::StrCat(world.model(), world.is_default() ? " *" : ""),
                    absl::StrCat(world.width(), "x", world.height()),
                    absl::StrFormat("%g", world.fps()), SoundOf(world),
                    Inputs(world.action_vocabulary()), world.description()});
  }
  std::fputs(Table(rows).c_str(), stdout);
  return kExitOk;
}

int Sessions(const std::string& target) {
  auto sessions = WorldClient(target).ListSessions();
  if (!sessions.ok()) return Explain(sessions.status(), target);
  std::fputs(SessionTable(*sessions).c_str(), stdout);
  return kExitOk;
}

int ShowSession(const std::string& target, const std::string& session_id) {
  auto session = WorldClient(target).GetSession(session_id);
  if (!session.ok()) return Explain(session.status(), target);
  std::fputs(SessionTable({*session}).c_str(), stdout);
  return kExitOk;
}

int DeleteSession(const std::string& target, const std::string& session_id) {
  absl::Status status = WorldClient(target).DeleteSession(session_id);
  return status.ok() ? kExitOk : Explain(status, target);
}

}  // namespace firstbyte

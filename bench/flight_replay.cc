// Runs a flight log again on the models it names and says, session by session, whether the same
// bytes came out.
//
//   firstbyte admin flight --out flight.jsonl     # of a server started with --flight-inputs on
//   flight_replay flight.jsonl                    # from the repository's root
//
// Exit codes: 0 all that could be replayed made the same bytes, 1 some did not or the log cannot be
// replayed, 2 bad usage.
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/log.h"
#include "client/table.h"
#include "model/registry/registry.h"
#include "model/scripted.h"
#include "model/scripted_world.h"
#include "server/scheduler/replay.h"

namespace firstbyte {
namespace {

constexpr int kSlots = 256;  // more than a server has, for sessions that the log never ends

enum ExitCode { kSame = 0, kFailed = 1, kBadUsage = 2 };

int Fail(const absl::Status& status) {
  absl::FPrintF(stderr, "flight_replay: %s\n", status.message());
  return kFailed;
}

std::string ResultName(ReplayedSession::Result result) {
  switch (result) {
    case ReplayedSession::Result::kSame:
      return "same";
    case ReplayedSession::Result::kDiffers:
      return "DIFFERS";
    case ReplayedSession::Result::kNotReplayed:
      return "not replayed";
  }
  return "";
}

absl::StatusOr<std::unique_ptr<Model>> OpenModel(const std::string& folder,
                                                 const std::string& name) {
  if (name == "scripted") return MakeScriptedModel({.slots = kSlots});
  if (name == "scripted-world") return MakeScriptedWorld({.slots = kSlots});
  auto copies = OpenModelFolder(absl::StrCat(folder, "/", name), {.lanes = 1, .slots = kSlots});
  if (!copies.ok()) return copies.status();
  std::unique_ptr<Model> model = std::move(copies->at(0));
  return model;
}

// Prints a line a session; returns how many made other bytes.
absl::StatusOr<int> ReplayLane(const FlightLog& log, const std::string& folder) {
  std::vector<std::unique_ptr<Model>> models;
  for (const std::string& name : log.models) {
    auto model = OpenModel(folder, name);
    if (!model.ok()) return model.status();
    models.push_back(*std::move(model));
  }
  auto sessions = Replay(log, models);
  if (!sessions.ok()) return sessions.status();
  int differ = 0;
  std::vector<std::vector<std::string>> rows = {
      {"LANE", "SESSION", "MODEL", "RESULT", "BYTES", "DIGEST", "WHY"}};
  for (const ReplayedSession& session : *sessions) {
    differ += session.result == ReplayedSession::Result::kDiffers;
    rows.push_back({absl::StrCat(log.lane), absl::StrCat(session.session),
                    session.model.empty() ? "-" : session.model, ResultName(session.result),
                    absl::StrCat(session.media_bytes), session.recorded.substr(0, 16),
                    session.why});
  }
  std::fputs(Table(rows).c_str(), stdout);
  return differ;
}

int Main(int argc, char** argv) {
  CLI::App app("Runs a flight log again and compares what it makes.", "flight_replay");
  std::string path, models = "models";
  app.add_option("file", path, "What `firstbyte admin flight` wrote")->required();
  app.add_option("--models-dir", models, "Folder of models")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kSame : kBadUsage;
  }
  if (!ConfigureLog(LogFormat::kText, "warning").ok()) return kFailed;
  std::ifstream file(path);
  std::stringstream text;
  if (!(text << file.rdbuf())) return Fail(absl::NotFoundError("cannot read " + path));
  auto logs = ParseFlightLogs(text.str());
  if (!logs.ok()) return Fail(logs.status());
  int differ = 0;
  for (const FlightLog& log : *logs) {
    auto here = ReplayLane(log, models);
    if (!here.ok()) return Fail(here.status());
    differ += *here;
  }
  return differ == 0 ? kSame : kFailed;
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) { return firstbyte::Main(argc, argv); }

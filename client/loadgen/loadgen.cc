// The load generator: its command line, and one run after the other.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/loadgen/compare.h"
#include "client/loadgen/flags.h"
#include "client/loadgen/levels.h"
#include "client/loadgen/page.h"
#include "client/loadgen/report.h"
#include "client/loadgen/report_json.h"
#include "client/loadgen/runner.h"
#include "client/loadgen/speech_caller.h"
#include "client/loadgen/validity.h"
#include "client/loadgen/world_caller.h"
#include "client/signal_watch.h"

namespace firstbyte {
namespace {

constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInvalid = 3;
constexpr int kClosedLoopLeadSeconds = 3600;  // nobody listens: the server need not pace the audio

int Complain(absl::string_view message, int code) {
  absl::FPrintF(stderr, "loadgen: %s\n", message);
  return code;
}

bool WriteFile(const std::string& path, const std::string& text) {
  if (path == "-") return std::fputs(text.c_str(), stdout) >= 0;
  std::ofstream file(path);
  file << text;
  return file.flush().good();
}

// Better now than after an hour of measuring.
bool Writable(const std::string& path) {
  return path.empty() || path == "-" || std::ofstream(path, std::ios::app).good();
}

// All the runs that one command makes.
class Runs {
 public:
  Runs(const Flags& flags, const Connections& connections, const std::atomic<bool>& interrupted)
      : flags_(flags), interrupted_(interrupted) {
    CallerOptions options{.timeout = absl::Seconds(flags.call_timeout)};
    if (flags.service == Service::kWorlds) {
      caller_ = std::make_unique<WorldCaller>(connections, options);
    } else {
      caller_ = std::make_unique<SpeechCaller>(connections, options);
    }
    show_progress_ = !flags.quiet && isatty(STDERR_FILENO) == 1;
  }

  int All() {
    for (const std::string& path : {flags_.json, flags_.jsonl, flags_.html}) {
      if (!Writable(path)) return Complain("cannot write " + path, kExitFailed);
    }
    if (!flags_.jsonl.empty()) jsonl_.open(flags_.jsonl);
    if (!flags_.metrics.empty() && !ScrapeIfAsked().ok()) return kExitFailed;
    if (flags_.find_max) {
      const LoadLevel start = flags_.levels[0];
      found_ = FindMax(start.mode, start.amount, flags_.most, [&](double amount) {
        return !interrupted_ && !gone() && Run({start.mode, amount});
      });
    } else {
      for (const LoadLevel& level : flags_.levels) {
        if (interrupted_ || gone()) break;
        Run(level);
      }
    }
    if (levels_.empty()) return Complain("interrupted before anything was measured", 130);
    return Report();
  }

 private:
  bool gone() const { return !levels_.empty() && levels_.back().tally.server_gone; }

  // Whether it is valid and keeps the bounds.
  bool Run(const LoadLevel& level) {
    LoadOptions options = flags_.load;
    options.level = level;
    WorkloadSpec spec = flags_.spec;
    if (level.mode == LoadMode::kConcurrency) {
      spec.config.mutable_chunking()->mutable_max_lead_duration()->set_seconds(
          kClosedLoopLeadSeconds);
    }
    const absl::StatusOr<Scrape> before = ScrapeIfAsked();
    Tally tally = RunLoad(options, Workload(spec, options.seed), caller_.get(), Callbacks(level));
    if (show_progress_) std::fputs("\r\033[K", stderr);
    LevelResult result{std::move(options), std::move(tally), {}, {}};
    if (before.ok()) {
      if (auto after = ScrapeIfAsked(); after.ok()) {
        result.check = CheckServer(*before, *after, result.tally);
        result.tally.server_came_back |= result.check->restarted;
      }
    }
    if (!flags_.bounds.empty()) result.broken = BrokenBounds(flags_.bounds, result.tally);
    const bool kept = result.broken.empty() && WhyInvalid(result.tally).empty();
    levels_.push_back(std::move(result));
    if (several() && show_progress_) ShowDone(levels_.back(), kept);
    return kept;
  }

  // What stays of the progress line; the table comes when all is measured.
  static void ShowDone(const LevelResult& level, bool kept) {
    const Tally& tally = level.tally;
    absl::FPrintF(stderr, "%s%s\n",
                  ProgressLine(level.options.level, {absl::Seconds(tally.wall_seconds), 0, &tally}),
                  kept                   ? ""
                  : level.broken.empty() ? "  INVALID"
                                         : "  over: " + level.broken[0]);
  }

  absl::StatusOr<Scrape> ScrapeIfAsked() const {
    if (flags_.metrics.empty()) return absl::NotFoundError("--metrics was not given");
    auto scrape = ScrapeServer(flags_.metrics);
    if (!scrape.ok()) Complain(scrape.status().message(), kExitFailed);
    return scrape;
  }

  RunCallbacks Callbacks(const LoadLevel& level) {
    RunCallbacks callbacks;
    callbacks.on_progress = [this, level](const Progress& progress) {
      if (show_progress_) absl::FPrintF(stderr, "\r\033[K%s", ProgressLine(level, progress));
      return !interrupted_;
    };
    if (jsonl_.is_open()) {
      callbacks.on_record = [this, level](const CallRecord& record, absl::Time run_start) {
        nlohmann::json json = RecordJson(record, run_start);
        json["load"] = Describe(level);
        jsonl_ << json.dump() << "\n";
      };
    }
    return callbacks;
  }

  bool several() const { return flags_.levels.size() > 1 || flags_.find_max; }

  nlohmann::json Json() const {
    nlohmann::json json = HeaderJson(flags_.connection, flags_.service, flags_.load.seed, began_);
    nlohmann::json levels = nlohmann::json::array();
    for (const LevelResult& level : levels_) {
      nlohmann::json one = LevelJson(level.options, level.tally);
      one["broken_bounds"] = level.broken;
      if (level.check) one["server_check"] = level.check->ToJson();
      levels.push_back(std::move(one));
    }
    if (!several() && !levels.empty()) {
      json.update(levels[0]);
      return json;
    }
    json["levels"] = std::move(levels);
    if (auto knee = Knee(levels_)) json["knee"] = *knee;
    if (found_) json["found_max"] = *found_;
    return json;
  }

  // That of a single run says why it is INVALID.
  bool ShowsTable() const { return !flags_.quiet && flags_.json != "-"; }

  int Report() {
    if (ShowsTable()) {
      std::fputs(
          several()
              ? LevelTable(levels_).c_str()
              : ReportTable(flags_.connection.target, levels_[0].options, levels_[0].tally).c_str(),
          stdout);
      for (const LevelResult& level : levels_) {
        if (level.check) std::fputs(level.check->ToLine().c_str(), stdout);
      }
      if (found_) absl::PrintF("most that keeps the bounds: %g\n", *found_);
    }
    if (!flags_.json.empty() && !WriteFile(flags_.json, Json().dump(1) + "\n")) {
      return Complain("cannot write " + flags_.json, kExitFailed);
    }
    if (!flags_.html.empty() && !WriteFile(flags_.html, HtmlReport(Json()))) {
      return Complain("cannot write " + flags_.html, kExitFailed);
    }
    return ExitCode();
  }

  int ExitCode() const {
    if (interrupted_) return Complain("interrupted; what was measured until then is kept", 130);
    if (gone()) {
      return Complain("the server went away; what was measured until then is kept", kExitInvalid);
    }
    if (found_) {
      return *found_ > 0 ? kExitOk : Complain("no load keeps the bounds of --slo", kExitFailed);
    }
    int code = kExitOk;
    for (const LevelResult& level : levels_) {
      const std::string prefix = several() ? Describe(level.options.level) + ": " : "";
      for (const std::string& why : WhyInvalid(level.tally)) {
        code = kExitInvalid;
        if (several() || !ShowsTable()) Complain(absl::StrCat(prefix, "INVALID: ", why), code);
      }
      for (const std::string& line : level.broken) {
        code = Complain(prefix + line, code == kExitInvalid ? code : kExitFailed);
      }
    }
    return code;
  }

  const Flags& flags_;
  const std::atomic<bool>& interrupted_;
  const absl::Time began_ = absl::Now();
  std::unique_ptr<Caller> caller_;
  std::ofstream jsonl_;
  bool show_progress_ = false;
  std::vector<LevelResult> levels_;
  std::optional<double> found_;
};

int CompareFiles(const Flags& flags) {
  auto base = ReadReport(flags.base), next = ReadReport(flags.candidate);
  for (const auto* report : {&base, &next}) {
    if (!report->ok()) return Complain(report->status().message(), kExitUsage);
  }
  auto changes = Compare(*base, *next, flags.tolerance);
  if (!changes.ok()) return Complain(changes.status().message(), kExitInvalid);
  std::fputs(CompareTable(*changes).c_str(), stdout);
  const bool worse = std::any_of(changes->begin(), changes->end(), [](const Change& change) {
    return change.verdict == Verdict::kWorse;
  });
  return worse ? Complain("the new run is worse", kExitFailed) : kExitOk;
}

int Main(int argc, char** argv) {
  setenv("GRPC_VERBOSITY", "NONE", /*replace=*/0);  // we say in one line what it says in ten
  CLI::App app("Measures what listeners and players of a firstbyte server perceive.", "loadgen");
  Flags flags;
  AddFlags(app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    return Complain(error.what(), kExitUsage);
  }
  if (!flags.base.empty()) return CompareFiles(flags);
  if (auto status = Apply(&flags); !status.ok()) return Complain(status.message(), kExitUsage);
  std::atomic<bool> interrupted{false};
  SignalWatch watch([&] { interrupted = true; });
  auto connections = Connections::Open(flags.connection);
  if (!connections.ok()) {
    return Complain(connections.status().message(),
                    absl::IsInvalidArgument(connections.status()) ? kExitUsage : kExitFailed);
  }
  return Runs(flags, **connections, interrupted).All();
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) { return firstbyte::Main(argc, argv); }

// The command line of the load generator.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <string>

#include <CLI/CLI.hpp>

#include "absl/strings/str_format.h"
#include "client/loadgen/report.h"
#include "client/loadgen/runner.h"
#include "client/loadgen/slo.h"
#include "client/loadgen/workload.h"
#include "client/signal_watch.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;  // nobody answered, or a bound was broken
constexpr int kExitUsage = 2;

constexpr char kFooter[] =
    "A listener is a player with a 20 ms jitter buffer that is kept playing for the whole run.\n"
    "Percentiles need 10 / (1 - p) samples, else they are n/a.\n"
    "\n"
    "Examples:\n"
    "  loadgen --listeners 64 --duration 60s --slo ttfb_p95=0.015,underruns=0\n"
    "  loadgen --concurrency 8 --json result.json\n"
    "\n"
    "Exit codes: 0 done, 1 nobody answers or a bound of --slo is broken, 2 bad usage.";

struct Flags {
  LoadOptions load;
  double duration = 30, warmup = 5, qps = 0;
  std::string voice, model, encoding = "pcm16", texts, json, slo;
  bool quiet = false;
};

void AddFlags(CLI::App& app, Flags& flags) {
  app.footer(kFooter);
  app.add_option("--target", flags.load.target, "The server, host:port")
      ->envname("FIRSTBYTE_TARGET")
      ->capture_default_str();
  app.add_option("--listeners", flags.load.listeners, "Live players")->check(CLI::Range(1, 100000));
  app.add_option("--concurrency", flags.load.concurrency,
                 "Closed loop: calls in flight, each followed by the next at once")
      ->check(CLI::Range(1, 100000));
  app.add_option("--qps", flags.qps, "Open loop: not there yet");
  // "30", "30s" and "2m" alike, as the server's own flags take them.
  const CLI::AsNumberWithUnit seconds(
      std::map<std::string, double>{{"s", 1}, {"m", 60}, {"h", 3600}},
      CLI::AsNumberWithUnit::DEFAULT, "SECONDS");
  app.add_option("--duration", flags.duration, "How long to measure, such as 30s or 2m")
      ->check(CLI::PositiveNumber)
      ->transform(seconds)
      ->capture_default_str();
  app.add_option("--calls", flags.load.max_calls, "Or end once this many calls were measured")
      ->check(CLI::PositiveNumber);
  app.add_option("--warmup", flags.warmup, "How long before that; starts are spread over it")
      ->check(CLI::NonNegativeNumber)
      ->transform(seconds)
      ->capture_default_str();
  app.add_option("--channels", flags.load.channels, "Connections to the server")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seed", flags.load.seed, "Same seed, same texts in the same order")
      ->capture_default_str();
  app.add_option("--texts", flags.texts, "A file with one text a line");
  app.add_option("--voice", flags.voice, "Name of a voice");
  app.add_option("--model", flags.model, "Name of a model");
  app.add_option("--encoding", flags.encoding, "pcm16, wav or opus")
      ->check(CLI::IsMember({"pcm16", "wav", "opus"}))
      ->capture_default_str();
  app.add_option("--json", flags.json, "Write the result to this file ('-': standard output)");
  app.add_option("--slo", flags.slo, "Bounds to keep, such as ttfb_p95=0.015,underruns=0");
  app.add_flag("--quiet", flags.quiet, "No table and no progress");
}

int Complain(const std::string& message, int code) {
  absl::FPrintF(stderr, "loadgen: %s\n", message);
  return code;
}

// Fills what the flags mean; the message of what is wrong with them, or empty.
std::string Apply(Flags& flags) {
  if (flags.qps != 0) {
    return "--qps (open loop) is not implemented yet; use --listeners or --concurrency";
  }
  if ((flags.load.listeners > 0) == (flags.load.concurrency > 0)) {
    return "give one of --listeners N and --concurrency N";
  }
  flags.load.duration = absl::Seconds(flags.duration);
  flags.load.warmup = absl::Seconds(flags.warmup);
  flags.load.config.set_voice(flags.voice);
  flags.load.config.set_model(flags.model);
  flags.load.config.mutable_audio()->set_encoding(flags.encoding == "opus" ? v1::AUDIO_ENCODING_OPUS
                                                  : flags.encoding == "wav"
                                                      ? v1::AUDIO_ENCODING_WAV
                                                      : v1::AUDIO_ENCODING_PCM16);
  return "";
}

bool WriteJson(const std::string& path, const nlohmann::json& json) {
  if (path == "-") return std::printf("%s\n", json.dump(2).c_str()) > 0;
  std::ofstream file(path);
  file << json.dump(2) << "\n";
  return file.good();
}

int Run(Flags& flags) {
  std::vector<SloBound> bounds;
  if (!flags.slo.empty()) {
    auto parsed = ParseSlo(flags.slo);
    if (!parsed.ok()) return Complain(std::string(parsed.status().message()), kExitUsage);
    bounds = *std::move(parsed);
  }
  std::vector<std::string> texts(BuiltInTexts().begin(), BuiltInTexts().end());
  if (!flags.texts.empty()) {
    auto read = ReadTexts(flags.texts);
    if (!read.ok()) return Complain(std::string(read.status().message()), kExitUsage);
    texts = *std::move(read);
  }
  std::atomic<bool> interrupted{false};
  SignalWatch watch([&] { interrupted = true; });
  bool show = !flags.quiet && isatty(STDERR_FILENO) == 1;
  auto tally = RunLoad(flags.load, Workload(texts, flags.load.seed), [&](const Progress& progress) {
    if (show) absl::FPrintF(stderr, "\r\033[K%s", ProgressLine(progress));
    return !interrupted;
  });
  if (show) std::fputs("\r\033[K", stderr);
  if (!tally.ok()) return Complain(std::string(tally.status().message()), kExitFailed);
  if (!flags.quiet && flags.json != "-") {
    std::fputs(ReportTable(flags.load, *tally).c_str(), stdout);
  }
  std::vector<std::string> broken;
  if (!bounds.empty()) broken = BrokenBounds(bounds, *tally);
  if (!flags.json.empty()) {
    nlohmann::json json = ReportJson(flags.load, *tally);
    json["broken_bounds"] = broken;
    if (!WriteJson(flags.json, json)) return Complain("cannot write " + flags.json, kExitFailed);
  }
  for (const std::string& line : broken) Complain(line, kExitFailed);
  return broken.empty() ? kExitOk : kExitFailed;
}

int Main(int argc, char** argv) {
  CLI::App app("Measures what listeners of a firstbyte server hear.", "loadgen");
  Flags flags;
  AddFlags(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (std::string wrong = Apply(flags); !wrong.empty()) return Complain(wrong, kExitUsage);
  return Run(flags);
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) { return firstbyte::Main(argc, argv); }

#include "client/loadgen/flags.h"

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <utility>

#include <CLI/CLI.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/loadgen/workload_file.h"

namespace firstbyte {
namespace {

constexpr char kFooter[] =
    "A listener is a player with a 20 ms jitter buffer that is kept playing for the whole run.\n"
    "Percentiles need 10 / (1 - p) samples, else they are n/a. What each figure means, and the\n"
    "schema of the JSON: docs/loadgen.md.\n"
    "\n"
    "Examples:\n"
    "  loadgen --qps 4                                        four requests a second, Poisson\n"
    "  loadgen --listeners 64 --duration 60s --slo ttfb_p95=0.015,underruns=0\n"
    "  loadgen --concurrency 8 --json result.json --html result.html\n"
    "  loadgen --sweep-listeners 1,4,16,64 --html sweep.html  a page of plots\n"
    "  loadgen --listeners 8 --find-max --slo ttfb_p95=0.05,underruns=0\n"
    "  loadgen --worlds --listeners 4 --pacing realtime --target-fps 20\n"
    "  loadgen --qps 20 --cancel-rate 0.2 --slow-reader-rate 0.1 --disconnect-rate 0.05\n"
    "  loadgen compare base.json new.json                     exit code 1 when new is worse\n"
    "\n"
    "Exit codes: 0 done, 1 nobody answers, a bound of --slo is broken or the new run is worse,\n"
    "2 bad usage, 3 the run is INVALID: its figures mean nothing, 130 interrupted.";

// "30", "30s" and "2m" alike, as the server's own flags take them.
CLI::AsNumberWithUnit Seconds() {
  return CLI::AsNumberWithUnit(
      std::map<std::string, double>{{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}},
      CLI::AsNumberWithUnit::DEFAULT, "SECONDS");
}

const CLI::Validator kPositive(
    [](std::string& text) {
      double value = 0;
      return absl::SimpleAtod(text, &value) && value > 0 && std::isfinite(value)
                 ? std::string()
                 : absl::StrCat(text, " is not a number over 0");
    },
    "NUMBER>0", "positive");

void AddLoadFlags(CLI::App& app, Flags* flags) {
  const char* group = "Load (one of them)";
  app.add_option("--qps", flags->qps, "Open loop: so many requests a second")
      ->check(kPositive)
      ->group(group);
  app.add_option("--concurrency", flags->concurrency,
                 "Closed loop: requests in flight, each followed by the next at once")
      ->check(CLI::Range(1, 100000))
      ->group(group);
  app.add_option("--listeners", flags->listeners, "Live players, kept playing")
      ->check(CLI::Range(1, 100000))
      ->group(group);
  app.add_option("--sweep-qps", flags->sweep_qps, "One run for each of these, such as 1,2,4")
      ->delimiter(',')
      ->check(kPositive)
      ->group(group);
  app.add_option("--sweep-concurrency", flags->sweep_concurrency, "The same, closed loops")
      ->delimiter(',')
      ->check(CLI::Range(1, 100000))
      ->group(group);
  app.add_option("--sweep-listeners", flags->sweep_listeners, "The same, live players")
      ->delimiter(',')
      ->check(CLI::Range(1, 100000))
      ->group(group);
  app.add_flag("--find-max", flags->find_max,
               "Search the most that keeps --slo, from the load given upwards")
      ->group(group);
  app.add_option("--most", flags->most, "Where --find-max stops")
      ->check(kPositive)
      ->capture_default_str()
      ->group(group);
  app.add_option("--arrival", flags->arrival,
                 "Open loop: poisson (default), constant, or trace FILE (seconds, one a line)")
      ->expected(1, 2)
      ->group(group);
}

void AddTimeFlags(CLI::App& app, Flags* flags) {
  const char* group = "Time";
  app.add_option("--duration", flags->duration, "How long to measure, such as 30s or 2m")
      ->check(kPositive)
      ->transform(Seconds())
      ->capture_default_str()
      ->group(group);
  app.add_option("--calls", flags->load.max_calls, "Or end once this many were measured")
      ->check(kPositive)
      ->group(group);
  app.add_option("--warmup", flags->warmup, "How long before that; starts are spread over it")
      ->check(CLI::NonNegativeNumber)
      ->transform(Seconds())
      ->capture_default_str()
      ->group(group);
  app.add_option("--drain-timeout", flags->drain_timeout,
                 "How long what is under way at the end may take")
      ->check(CLI::NonNegativeNumber)
      ->transform(Seconds())
      ->capture_default_str()
      ->group(group);
  app.add_option("--call-timeout", flags->call_timeout, "Deadline of one request")
      ->check(kPositive)
      ->transform(Seconds())
      ->capture_default_str()
      ->group(group);
  app.add_option("--ttfb-target", flags->ttfb_target,
                 "For goodput and for how late this program may send; else --slo's, else 50 ms")
      ->check(kPositive)
      ->transform(Seconds())
      ->group(group);
}

void AddWorkloadFlags(CLI::App& app, Flags* flags) {
  const char* group = "Requests";
  app.add_option("--workload", flags->workload,
                 "YAML or JSON: texts or their lengths, voices, encodings; scripts of worlds")
      ->group(group);
  app.add_option("--texts", flags->texts, "A file with one text a line")->group(group);
  app.add_option("--voice", flags->voice, "Name of a voice")->group(group);
  app.add_option("--model", flags->model, "Name of a model")->group(group);
  app.add_option("--encoding", flags->encoding, "pcm16, wav or opus")
      ->check(CLI::IsMember({"pcm16", "wav", "opus"}))
      ->group(group);
  app.add_flag("--worlds", flags->worlds, "Play worlds (StepWorld) instead of speech")
      ->group(group);
  app.add_option("--pacing", flags->pacing, "Worlds: lockstep, realtime or free_run")
      ->check(CLI::IsMember({"lockstep", "realtime", "free_run"}))
      ->group(group);
  app.add_option("--target-fps", flags->target_fps, "Worlds: frames a second in realtime")
      ->check(CLI::Range(0.0, 240.0))
      ->group(group);
  app.add_option("--blocks", flags->blocks, "Worlds: blocks after which a player leaves")
      ->check(CLI::Range(1, 1000000))
      ->group(group);
  app.add_option("--seed", flags->load.seed, "Same seed, same requests at the same times")
      ->capture_default_str()
      ->group(group);
  const std::pair<const char*, double*> rates[] = {{"--cancel-rate", &flags->cancel_rate},
                                                   {"--slow-reader-rate", &flags->slow_reader_rate},
                                                   {"--disconnect-rate", &flags->disconnect_rate}};
  for (const auto& [name, rate] : rates) {
    app.add_option(name, *rate, "Share of requests, 0 to 1, whose client does that")
        ->check(CLI::Range(0.0, 1.0))
        ->group(group);
  }
}

void AddConnectionFlags(CLI::App& app, Flags* flags) {
  const char* group = "Connection";
  ConnectionOptions& connection = flags->connection;
  app.add_option("--target", connection.target, "The server, host:port")
      ->envname("FIRSTBYTE_TARGET")
      ->capture_default_str()
      ->group(group);
  app.add_option("--channels", connection.channels, "Connections to the server")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--tls", connection.tls, "Encrypt")->group(group);
  app.add_option("--tls-ca", connection.ca_file, "PEM file of authorities to trust")->group(group);
  app.add_option("--tls-cert", connection.cert_file, "PEM file of this client's certificate")
      ->group(group);
  app.add_option("--tls-key", connection.key_file, "PEM file of its key")->group(group);
  app.add_option("--tls-server-name", connection.server_name, "Name in the server's certificate")
      ->group(group);
  app.add_option("--token", connection.token, "Bearer token; better in the environment")
      ->envname("FIRSTBYTE_TOKEN")
      ->group(group);
}

void AddOutputFlags(CLI::App& app, Flags* flags) {
  const char* group = "Results";
  app.add_option("--metrics", flags->metrics,
                 "host:port of the server's /metrics, to check its figures against ours")
      ->group(group);
  app.add_option("--slo", flags->slo, "Bounds to keep, such as ttfb_p95=0.015,underruns=0")
      ->group(group);
  app.add_option("--json", flags->json, "Write the result to this file ('-': standard output)")
      ->group(group);
  app.add_option("--jsonl", flags->jsonl, "Write each request to this file, one a line")
      ->group(group);
  app.add_option("--html", flags->html, "Write a page with plots to this file")->group(group);
  app.add_flag("--quiet", flags->quiet, "No table and no progress")->group(group);
}

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(what); }

absl::Status ApplyLevels(Flags* flags) {
  const auto doubles = [](const std::vector<int>& counts) {
    return std::vector<double>(counts.begin(), counts.end());
  };
  const std::pair<LoadMode, std::vector<double>> given[] = {
      {LoadMode::kListeners, doubles({flags->listeners})},
      {LoadMode::kConcurrency, doubles({flags->concurrency})},
      {LoadMode::kQps, {flags->qps}},
      {LoadMode::kListeners, doubles(flags->sweep_listeners)},
      {LoadMode::kConcurrency, doubles(flags->sweep_concurrency)},
      {LoadMode::kQps, flags->sweep_qps}};
  int kinds = 0;
  for (const auto& [mode, amounts] : given) {
    if (amounts.empty() || amounts[0] == 0) continue;
    ++kinds;
    for (double amount : amounts) flags->levels.push_back({mode, amount});
  }
  const bool trace = !flags->arrival.empty() && flags->arrival[0] == "trace";
  if (kinds == 0 && trace) {
    flags->levels.push_back({LoadMode::kQps, 0});
  } else if (kinds != 1) {
    return Wrong(
        "give one of --qps R, --concurrency N, --listeners N and their --sweep-..., as in "
        "'loadgen --listeners 8'; see --help");
  }
  if (flags->find_max && (flags->levels.size() != 1 || flags->slo.empty() || trace)) {
    return Wrong("--find-max needs --slo and one load to begin with, such as --listeners 8");
  }
  return absl::OkStatus();
}

absl::Status ApplyArrival(Flags* flags) {
  if (flags->arrival.empty()) return absl::OkStatus();
  const std::string& kind = flags->arrival[0];
  if (flags->levels[0].mode != LoadMode::kQps) return Wrong("--arrival is for --qps");
  if ((kind == "trace") != (flags->arrival.size() == 2)) {
    return Wrong("--arrival takes poisson, constant, or trace and a file");
  }
  if (kind == "trace") {
    auto trace = ReadTrace(flags->arrival[1]);
    if (!trace.ok()) return trace.status();
    flags->load.trace = *std::move(trace);
    flags->load.arrival = ArrivalKind::kTrace;
  } else if (kind == "constant") {
    flags->load.arrival = ArrivalKind::kConstant;
  } else if (kind != "poisson") {
    return Wrong(absl::StrCat("--arrival: '", kind, "' is not poisson, constant or trace FILE"));
  }
  return absl::OkStatus();
}

absl::Status ReadWorkloadFile(Flags* flags) {
  if (flags->workload.empty()) return absl::OkStatus();
  std::ifstream file(flags->workload);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return Wrong(absl::StrCat("cannot read ", flags->workload));
  return ReadWorkload(text.str(), flags->workload, &flags->spec);
}

// What would be ignored is refused.
absl::Status CheckService(const Flags& flags) {
  const std::pair<const char*, bool> of_speech[] = {{"--voice", !flags.voice.empty()},
                                                    {"--texts", !flags.texts.empty()},
                                                    {"--encoding", !flags.encoding.empty()}};
  const std::pair<const char*, bool> of_worlds[] = {{"--pacing", !flags.pacing.empty()},
                                                    {"--target-fps", flags.target_fps > 0},
                                                    {"--blocks", flags.blocks > 0}};
  for (const auto& [name, given] : of_speech) {
    if (given && flags.worlds) return Wrong(absl::StrCat(name, " is not of --worlds"));
  }
  for (const auto& [name, given] : of_worlds) {
    if (given && !flags.worlds) return Wrong(absl::StrCat(name, " is of --worlds only"));
  }
  return absl::OkStatus();
}

// Flags win over the workload file.
absl::Status ApplyRequests(Flags* flags) {
  if (auto status = CheckService(*flags); !status.ok()) return status;
  WorkloadSpec& spec = flags->spec;
  spec.texts.assign(BuiltInTexts().begin(), BuiltInTexts().end());
  if (auto status = ReadWorkloadFile(flags); !status.ok()) return status;
  if (!flags->texts.empty()) {
    auto texts = ReadTexts(flags->texts);
    if (!texts.ok()) return texts.status();
    spec.texts = *std::move(texts);
  }
  if (!flags->voice.empty()) spec.voices = {flags->voice};
  if (!flags->model.empty()) {
    spec.config.set_model(flags->model);
    spec.world.model = flags->model;
  }
  if (!flags->encoding.empty()) {
    spec.encodings = {*EncodingNamed(flags->encoding)};
  } else if (spec.encodings.empty()) {
    spec.encodings = {v1::AUDIO_ENCODING_PCM16};
  }
  if (!flags->pacing.empty()) spec.world.pacing = *PacingNamed(flags->pacing);
  if (flags->target_fps > 0) spec.world.target_fps = flags->target_fps;
  if (flags->blocks > 0) spec.world.blocks = flags->blocks;
  spec.cancel_rate = flags->cancel_rate;
  spec.slow_reader_rate = flags->slow_reader_rate;
  spec.disconnect_rate = flags->disconnect_rate;
  if (spec.cancel_rate + spec.slow_reader_rate + spec.disconnect_rate > 1) {
    return Wrong("--cancel-rate, --slow-reader-rate and --disconnect-rate add up to over 1");
  }
  return absl::OkStatus();
}

absl::Status ApplyConnection(Flags* flags) {
  ConnectionOptions& connection = flags->connection;
  if (connection.cert_file.empty() != connection.key_file.empty()) {
    return Wrong("--tls-cert and --tls-key go together");
  }
  if (!connection.ca_file.empty() || !connection.cert_file.empty()) connection.tls = true;
  if (connection.tls && flags->disconnect_rate > 0) {
    return Wrong("--disconnect-rate works without TLS only");
  }
  return absl::OkStatus();
}

absl::Status ApplyBounds(Flags* flags) {
  if (!flags->slo.empty()) {
    auto bounds = ParseSlo(flags->slo);
    if (!bounds.ok()) return bounds.status();
    flags->bounds = *std::move(bounds);
  }
  double target = TtfbTarget(flags->bounds).value_or(0.05);
  if (flags->ttfb_target > 0) target = flags->ttfb_target;
  flags->load.ttfb_target = absl::Seconds(target);
  if (flags->find_max) flags->load.min_calls = CallsNeeded(flags->bounds);
  return absl::OkStatus();
}

}  // namespace

void AddFlags(CLI::App& app, Flags* flags) {
  app.footer(kFooter);
  AddLoadFlags(app, flags);
  AddTimeFlags(app, flags);
  AddWorkloadFlags(app, flags);
  AddConnectionFlags(app, flags);
  AddOutputFlags(app, flags);
  CLI::App* compare =
      app.add_subcommand("compare", "Is one report (--json) worse than another? Exit code 1: yes");
  compare->add_option("base", flags->base, "The report to compare with")->required();
  compare->add_option("new", flags->candidate, "The report in question")->required();
  compare->add_option("--tolerance", flags->tolerance, "Growth that is no matter, as a share")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

absl::Status Apply(Flags* flags) {
  flags->load.duration = absl::Seconds(flags->duration);
  flags->load.warmup = absl::Seconds(flags->warmup);
  flags->load.drain_timeout = absl::Seconds(flags->drain_timeout);
  flags->service = flags->worlds ? Service::kWorlds : Service::kSpeech;
  for (auto apply : {ApplyLevels, ApplyArrival, ApplyRequests, ApplyConnection, ApplyBounds}) {
    if (auto status = apply(flags); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace firstbyte

#include "server/config/fields.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace firstbyte {
namespace {

absl::Status Bad(const std::string& what) { return absl::InvalidArgumentError(what); }

bool IsAddress(absl::string_view text) {
  if (absl::StartsWith(text, "unix:")) return text.size() > 5;
  const size_t colon = text.rfind(':');
  int port = -1;
  return colon != absl::string_view::npos && colon > 0 &&
         absl::SimpleAtoi(text.substr(colon + 1), &port) && port >= 0 && port <= 65535;
}

bool IsDevice(absl::string_view text) { return GpusOf(text).has_value(); }

constexpr TextForm kAddress = {IsAddress, "host:port with a port of 0 to 65535"};
constexpr TextForm kDevice = {IsDevice, "cpu, cuda, cuda:N or cuda:N,M"};

struct Setter {
  const ConfigField& field;
  absl::string_view text;
  Config* config;

  absl::Status operator()(std::string Config::*member) const {
    const auto& choices = field.choices;
    const bool chosen = std::find(choices.begin(), choices.end(), text) != choices.end();
    if (field.form != nullptr && !chosen && !field.form->matches(text)) {
      return Bad(absl::StrCat("'", text, "' is not ", field.form->words));
    }
    if (field.form == nullptr && !choices.empty() && !chosen) {
      return Bad(absl::StrCat("'", text, "' is not one of ", absl::StrJoin(choices, ", ")));
    }
    config->*member = std::string(text);
    return absl::OkStatus();
  }
  absl::Status operator()(int Config::*member) const {
    int value = 0;
    if (!absl::SimpleAtoi(text, &value) || value < field.min || value > field.max) {
      return Bad(absl::StrCat("'", text, "' is not a whole number from ", field.min, " to ",
                              static_cast<int64_t>(field.max)));
    }
    config->*member = value;
    return absl::OkStatus();
  }
  absl::Status operator()(absl::Duration Config::*member) const {
    absl::Duration value;
    const absl::Duration min = absl::Seconds(field.min), max = absl::Seconds(field.max);
    if (!absl::ParseDuration(text, &value) || value < min || value > max) {
      return Bad(absl::StrCat("'", text, "' is not a duration from ", absl::FormatDuration(min),
                              " to ", absl::FormatDuration(max), ", such as 250ms or 1.5s"));
    }
    config->*member = value;
    return absl::OkStatus();
  }
  absl::Status operator()(std::vector<std::string> Config::*member) const {
    config->*member = absl::StrSplit(text, ',', absl::SkipWhitespace());
    return absl::OkStatus();
  }
};

struct Printer {
  const Config& config;
  std::string operator()(std::string Config::*member) const { return config.*member; }
  std::string operator()(int Config::*member) const { return absl::StrCat(config.*member); }
  std::string operator()(absl::Duration Config::*member) const {
    return absl::FormatDuration(config.*member);
  }
  std::string operator()(std::vector<std::string> Config::*member) const {
    return absl::StrJoin(config.*member, ",");
  }
};

int EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = std::exchange(row[0], static_cast<int>(i));
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replace = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

absl::Span<const ConfigField> ConfigFields() {
  constexpr double kHour = 3600, kMaxMib = 1 << 20;
  static const auto& fields = *new std::vector<ConfigField>{
      {.key = "listen",
       .help = "Address of the gRPC port; port 0 takes a free one",
       .member = &Config::listen,
       .form = &kAddress},
      {.key = "metrics_listen",
       .help = "Address of the Prometheus page /metrics, or off",
       .member = &Config::metrics_listen,
       .choices = {"off"},
       .form = &kAddress},
      {.key = "admin_listen",
       .help = "Address of AdminService, for `firstbyte top` and `admin`; off or empty: none. It "
               "asks nobody who they are, so keep it to the machine",
       .member = &Config::admin_listen,
       .choices = {"off", ""},
       .form = &kAddress},
      {.key = "models_dir",
       .help = "Folder of models; empty: the embedded ones (FIRSTBYTE_MODELS_DIR also sets it)",
       .member = &Config::models_dir},
      {.key = "models",
       .help = "Models to serve, comma-separated, the default first; empty: all of the folder",
       .member = &Config::models},
      {.key = "lazy_models",
       .help = "Models to load only when a request first needs them, comma-separated; served as "
               "those of --models are",
       .member = &Config::lazy_models},
      {.key = "device",
       .help = "Where models run: cpu, or cuda, cuda:N or cuda:N,M for GPUs, the first one being 0",
       .member = &Config::device,
       .form = &kDevice},
      {.key = "cuda_plugin",
       .help =
           "Path of libfirstbyte_cuda.so; empty: the one beside the program or in lib/firstbyte",
       .member = &Config::cuda_plugin},
      {.key = "dtype",
       .help = "Numbers in which models multiply on a GPU; a model that does not run in them is "
               "refused. The CPU has fp32",
       .member = &Config::dtype,
       .choices = {"fp32", "tf32", "fp16", "bf16"}},
      {.key = "mode",
       .help = "On a GPU: steps recorded as graphs at start, or each kernel given anew",
       .member = &Config::mode,
       .choices = {"graph", "eager"}},
      {.key = "lanes",
       .help = "Threads that run models, each with its own batch; 0: one for each core it may use, "
               "or for each GPU",
       .member = &Config::lanes,
       .min = 0,
       .max = 64},
      {.key = "max_batch",
       .help = "Streams in one step; 0: the model's own",
       .member = &Config::max_batch,
       .min = 0,
       .max = 1024},
      {.key = "max_streams",
       .help = "Streams at once, per model and lane; 0: the model's own",
       .member = &Config::max_streams,
       .min = 0,
       .max = 1e5},
      {.key = "max_lead",
       .help = "A stream pauses when it is this far ahead of its listener",
       .member = &Config::max_lead,
       .min = 0.2,
       .max = 60},
      {.key = "ttfb_target",
       .help = "Time to first byte that scheduling aims at",
       .member = &Config::ttfb_target,
       .min = 0.001,
       .max = 10},
      {.key = "max_step",
       .help = "Longest step: what a newcomer waits at most",
       .member = &Config::max_step,
       .min = 0.001,
       .max = 1},
      {.key = "max_load_percent",
       .help =
           "Percent of a lane's time that admitted streams may need; the rest is for those that "
           "start; 0: not tested",
       .member = &Config::max_load_percent,
       .min = 0,
       .max = 1000},
      {.key = "max_catching_up_percent",
       .help = "Percent of a lane's time that voices may need while they start and are not yet far "
               "ahead of their listeners; 0: not tested",
       .member = &Config::max_catching_up_percent,
       .min = 0,
       .max = 1000},
      {.key = "max_ttfb",
       .help = "A voice that would be heard later is refused; 0s: not tested",
       .member = &Config::max_ttfb,
       .min = 0,
       .max = 60},
      {.key = "max_streams_per_tenant",
       .help = "Streams at once of one tenant (x-tenant); 0: no limit",
       .member = &Config::max_streams_per_tenant,
       .min = 0,
       .max = 1e6},
      {.key = "max_stream_mib",
       .help = "MiB of host memory that all streams together may hold; 0: no limit",
       .member = &Config::max_stream_mib,
       .min = 0,
       .max = kMaxMib},
      {.key = "max_calls",
       .help = "Streams at once, admitted or not; more are refused",
       .member = &Config::max_calls,
       .min = 1,
       .max = 1e6},
      {.key = "idle_timeout",
       .help = "A speech stream without text for this long ends with DEADLINE_EXCEEDED",
       .member = &Config::idle_timeout,
       .min = 0.1,
       .max = kHour},
      {.key = "stall_timeout",
       .help =
           "A lane in the middle of a step for this long is given up: streams are answered, the "
           "server exits with 3; 0s: never",
       .member = &Config::stall_timeout,
       .min = 0,
       .max = kHour},
      {.key = "slow_consumer_timeout",
       .help = "A stream whose client takes nothing for this long ends with ABORTED",
       .member = &Config::slow_consumer_timeout,
       .min = 0.1,
       .max = kHour},
      {.key = "world_idle_timeout",
       .help = "A world whose player says nothing for this long is parked",
       .member = &Config::world_idle_timeout,
       .min = 0.1,
       .max = 24 * kHour},
      {.key = "max_world_duration",
       .help = "A stream of a world ends after this long",
       .member = &Config::max_world_duration,
       .min = 1,
       .max = 24 * 365 * kHour},
      {.key = "park_timeout",
       .help = "A parked world that nobody resumes is dropped after this long",
       .member = &Config::park_timeout,
       .min = 0.1,
       .max = 24 * 365 * kHour},
      {.key = "max_parked_sessions",
       .help = "Parked worlds in memory; above, the oldest are dropped",
       .member = &Config::max_parked_sessions,
       .min = 0,
       .max = 1e6},
      {.key = "max_parked_mib",
       .help = "MiB of parked worlds; above, the oldest are dropped",
       .member = &Config::max_parked_mib,
       .min = 0,
       .max = kMaxMib},
      {.key = "max_snapshot_mib",
       .help = "MiB of snapshots; above, the oldest in memory are dropped, files refused",
       .member = &Config::max_snapshot_mib,
       .min = 0,
       .max = kMaxMib},
      {.key = "snapshot_dir",
       .help = "Folder of snapshots, may be shared by servers; empty: memory. With a token secret, "
               "parked worlds are there too, and any of the servers can go on with them",
       .member = &Config::snapshot_dir},
      {.key = "token_secret_file",
       .help = "File with the secret that signs tokens of worlds; empty: FIRSTBYTE_TOKEN_SECRET, "
               "or a random one",
       .member = &Config::token_secret_file},
      {.key = "lame_duck",
       .help = "On SIGTERM, time between NOT_SERVING and closing the port",
       .member = &Config::lame_duck,
       .min = 0,
       .max = 600},
      {.key = "drain_timeout",
       .help = "On SIGTERM, time that running streams have to finish",
       .member = &Config::drain_timeout,
       .min = 0,
       .max = kHour},
      {.key = "flight_mib",
       .help = "MiB that the flight recorder of each lane keeps in memory; 0: there is none",
       .member = &Config::flight_mib,
       .min = 0,
       .max = 1024},
      {.key = "flight_inputs",
       .help = "Whether it keeps what clients say (texts, prompts, actions, saved worlds), which a "
               "replay needs",
       .member = &Config::flight_inputs,
       .choices = {"off", "on"}},
      {.key = "flight_dir",
       .help = "Folder where it is written when the device is lost; empty: nowhere",
       .member = &Config::flight_dir},
      {.key = "nvml_library",
       .help = "NVIDIA's library that metrics of GPUs come from, if it is there; or off",
       .member = &Config::nvml_library},
      {.key = "log_format",
       .help = "Lines of text, or of JSON",
       .member = &Config::log_format,
       .choices = {"text", "json"}},
      {.key = "log_level",
       .help = "Least severity that is logged",
       .member = &Config::log_level,
       .choices = {"debug", "info", "warning", "error"}},
  };
  return fields;
}

std::string FlagName(const ConfigField& field) {
  return "--" + absl::StrReplaceAll(field.key, {{"_", "-"}});
}

absl::Status SetField(const ConfigField& field, absl::string_view text, Config* config) {
  return std::visit(Setter{field, text, config}, field.member);
}

std::optional<std::vector<int>> GpusOf(absl::string_view device) {
  std::vector<int> gpus;
  if (device == "cpu") return gpus;
  if (device == "cuda") return std::vector<int>{0};
  if (!absl::ConsumePrefix(&device, "cuda:")) return std::nullopt;
  for (absl::string_view text : absl::StrSplit(device, ',')) {
    int index = 0;
    if (!absl::SimpleAtoi(text, &index) || index < 0) return std::nullopt;
    if (absl::StrCat(index) != text) return std::nullopt;  // not written as we would
    gpus.push_back(index);
  }
  return gpus;
}

std::string FieldText(const ConfigField& field, const Config& config) {
  return std::visit(Printer{config}, field.member);
}

std::string Nearest(absl::string_view word, const std::vector<std::string>& known) {
  std::string best;
  int least = std::max<int>(2, word.size() / 3) + 1;  // further away is no typing error
  for (const std::string& candidate : known) {
    const int distance = EditDistance(word, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace firstbyte

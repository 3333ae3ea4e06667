// Everything an operator can set, as one plain struct.
//
// Each field is a key of the YAML file (`--config`) and, with dashes, a flag: `max_lead: 4s` is
// `--max-lead 4s`. A flag wins over the environment, the environment over the file, the file over
// the default. fields.cc holds the one table that keys, flags, ranges and help are made of.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace firstbyte {

struct Config {
  std::string listen = "127.0.0.1:50051";         // host:port, or unix:/path
  std::string metrics_listen = "127.0.0.1:9464";  // host:port, or "off"
  std::string admin_listen = "127.0.0.1:50052";   // host:port, or "off" or empty
  std::string models_dir;                         // empty: FindModelsDir() looks for it
  std::vector<std::string> models;                // empty: every model of the folder
  std::vector<std::string> lazy_models;           // of these, and besides
  std::string device = "cpu";                     // or "cuda", "cuda:N", "cuda:N,M"
  std::string cuda_plugin;                        // empty: looked for (server/device.h)
  std::string dtype = "fp32";                     // on a GPU also "tf32", "fp16", "bf16"
  std::string mode = "graph";                     // on a GPU; or "eager"
  int lanes = 0;                                  // 0: one for each core, or each GPU
  int max_batch = 0;                              // sessions in one step; 0: the model's own
  int max_streams = 0;  // streams admitted at once, per model and lane; 0: the model's own
  absl::Duration max_lead = absl::Seconds(4);
  absl::Duration ttfb_target = absl::Milliseconds(50);
  absl::Duration max_step = absl::Milliseconds(8);
  // Admission (server/scheduler/admission.h); 0 switches a test off.
  int max_load_percent = 75;
  int max_catching_up_percent = 10;
  absl::Duration max_ttfb = absl::Milliseconds(50);
  int max_streams_per_tenant = 0;
  int max_stream_mib = 1024;
  int max_calls = 4096;
  absl::Duration idle_timeout = absl::Seconds(60);
  absl::Duration stall_timeout = absl::Seconds(60);
  absl::Duration slow_consumer_timeout = absl::Seconds(30);
  absl::Duration world_idle_timeout = absl::Seconds(60);
  absl::Duration max_world_duration = absl::Hours(4);
  absl::Duration park_timeout = absl::Minutes(10);
  int max_parked_sessions = 1024;
  int max_parked_mib = 256;
  int max_snapshot_mib = 256;
  std::string snapshot_dir;       // empty: snapshots are in memory
  std::string token_secret_file;  // see token_secret
  absl::Duration lame_duck = absl::ZeroDuration();
  absl::Duration drain_timeout = absl::Seconds(30);
  int flight_mib = 4;                              // for each lane; 0: no flight recorder
  std::string flight_inputs = "off";               // or "on"
  std::string flight_dir;                          // empty: not written when the device is lost
  std::string nvml_library = "libnvidia-ml.so.1";  // or "off"
  std::string log_format = "text";
  std::string log_level = "info";

  // Signs the tokens of world sessions; empty: a random one. No key and no flag of its own, so that
  // neither --print-config nor a list of processes shows it: it is the contents of
  // token_secret_file or, when no file is named, of FIRSTBYTE_TOKEN_SECRET.
  std::string token_secret;
};

// Of "cpu", "cuda" or "cuda:N,M" the numbers of the GPUs, none for the CPU and 0 for "cuda";
// nullopt: that is no device.
std::optional<std::vector<int>> GpusOf(absl::string_view device);

// Reads YAML `text`; `name` is for messages. An unknown or repeated key, a value of the wrong kind
// or out of range is kInvalidArgument with "name:line: ..." and, for a key, the nearest known one.
absl::Status ApplyYaml(const std::string& text, absl::string_view name, Config* config);

// `config` as YAML that ApplyYaml() reads back, each key under its help line.
std::string ToYaml(const Config& config);

// What a command line asks for.
struct Launch {
  Config config;
  std::string answer;  // --help, --version, --print-config: print this and exit with 0
};

// kInvalidArgument names the flag, or the file and line, at fault. Reads the file that --config
// names, FIRSTBYTE_MODELS_DIR and FIRSTBYTE_TOKEN_SECRET.
absl::StatusOr<Launch> ParseCommandLine(int argc, const char* const* argv);

}  // namespace firstbyte

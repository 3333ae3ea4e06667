// The flags of the load generator.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/loadgen/connection_options.h"
#include "client/loadgen/options.h"
#include "client/loadgen/slo.h"
#include "client/loadgen/workload.h"

namespace CLI {
class App;
}

namespace firstbyte {

// As written on the command line; Apply makes the options of it.
struct Flags {
  ConnectionOptions connection;
  LoadOptions load;
  Service service = Service::kSpeech;
  bool worlds = false, find_max = false, quiet = false;
  int listeners = 0, concurrency = 0;
  double qps = 0, most = 4096;
  std::vector<int> sweep_listeners, sweep_concurrency;
  std::vector<double> sweep_qps;
  double duration = 30, warmup = 5, drain_timeout = 30, call_timeout = 120, ttfb_target = 0;
  double cancel_rate = 0, slow_reader_rate = 0, disconnect_rate = 0;
  std::vector<std::string> arrival;
  std::string voice, model, encoding, texts, workload, pacing, metrics, slo, json, jsonl, html;
  double target_fps = 0;
  int blocks = 0;

  // Filled by Apply.
  std::vector<LoadLevel> levels;
  std::vector<SloBound> bounds;
  WorkloadSpec spec;

  // loadgen compare
  std::string base, candidate;  // empty: a run
  double tolerance = 0.05;
};

void AddFlags(CLI::App& app, Flags* flags);

// Reads the files that flags name and checks what goes together. kInvalidArgument says what is
// wrong, in one line.
absl::Status Apply(Flags* flags);

}  // namespace firstbyte

// firstbyte-bench simulate: what a load would feel, as a table and as JSON.
#pragma once

#include <string>

#include "CLI/CLI.hpp"

namespace firstbyte {

struct SimulateOptions {
  std::string costs = "bench/results/step_costs.json", json;
  std::vector<int> voices = {400}, worlds = {0};
  int lanes = 2, max_batch = 64;
  double seconds = 60, utterance_seconds = 8, slowdown = 1;
  unsigned seed = 1;
};

void AddSimulateOptions(CLI::App* command, SimulateOptions* options);

// Each number of voices with each number of worlds. Returns the exit code.
int RunSimulate(const SimulateOptions& options);

}  // namespace firstbyte

#include "bench/simulate.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <numeric>
#include <vector>

#include "bench/simulator.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

using nlohmann::json;
using simulator::Costs;
using simulator::Load;
using simulator::Result;

double Quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  const auto at =
      values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

json Quantiles(const std::vector<double>& values, std::initializer_list<double> wanted) {
  json out = json::object();
  for (double q : wanted) {
    out["p" + std::to_string(static_cast<int>(100 * q + 0.5))] = Quantile(values, q);
  }
  return out;
}

double MeanUtilisation(const Result& result) {
  return std::accumulate(result.utilisation.begin(), result.utilisation.end(), 0.0) /
         static_cast<double>(result.utilisation.size());
}

json ToJson(const Load& load, const Result& result) {
  json stages = json::object();
  for (int i = 0; i < kStageCount; ++i) {
    const Result::Stage& stage = result.stages[i];
    if (stage.steps == 0) continue;
    stages[std::string(StageName(static_cast<Stage>(i)))] = {
        {"steps", stage.steps},
        {"mean_batch", static_cast<double>(stage.sessions) / static_cast<double>(stage.steps)},
        {"busy_s", absl::ToDoubleSeconds(stage.busy)}};
  }
  return {{"voices", load.voices},
          {"worlds", load.worlds},
          {"lanes", load.lanes},
          {"seconds", absl::ToDoubleSeconds(load.length)},
          {"calls", result.calls},
          {"underruns", result.underruns},
          {"ttfb_ms", Quantiles(result.ttfb_ms, {.5, .95, .99})},
          {"lead_ms", Quantiles(result.lead_ms, {.01, .05, .5})},
          {"frames", result.frames},
          {"chunks", result.chunks},
          {"blocks", result.blocks},
          {"late_blocks", result.late},
          {"skipped_blocks", result.skipped},
          {"block_ms", Quantiles(result.block_ms, {.5, .99})},
          {"mean_batch", result.mean_batch()},
          {"utilisation", result.utilisation},
          {"stages", stages}};
}

void PrintHead() {
  std::printf("%6s %6s %5s  %6s %9s  %-22s %8s  %6s %5s  %-15s %5s %6s\n", "voices", "worlds",
              "busy", "calls", "underruns", "TTFB p50 / 95 / 99 ms", "lead p5", "blocks", "late",
              "block p50 / p99", "skip", "batch");
}

void PrintRow(const Load& load, const Result& result) {
  char ttfb[64], block[64];
  std::snprintf(ttfb, sizeof ttfb, "%.1f / %.1f / %.1f", Quantile(result.ttfb_ms, .5),
                Quantile(result.ttfb_ms, .95), Quantile(result.ttfb_ms, .99));
  std::snprintf(block, sizeof block, "%.1f / %.1f", Quantile(result.block_ms, .5),
                Quantile(result.block_ms, .99));
  std::printf("%6d %6d %4.0f%%  %6lld %9lld  %-22s %8.0f  %6lld %5lld  %-15s %5lld %6.1f\n",
              load.voices, load.worlds, 100 * MeanUtilisation(result),
              static_cast<long long>(result.calls), static_cast<long long>(result.underruns), ttfb,
              Quantile(result.lead_ms, .05), static_cast<long long>(result.blocks),
              static_cast<long long>(result.late), block, static_cast<long long>(result.skipped),
              result.mean_batch());
  std::fflush(stdout);
}

void Slow(double factor, Costs* costs) {
  for (auto* steps : {&costs->voice, &costs->world}) {
    for (simulator::StepCost& step : *steps) {
      step.cost.fixed *= factor;
      step.cost.per_session *= factor;
    }
  }
  costs->per_message *= factor;
}

}  // namespace

void AddSimulateOptions(CLI::App* command, SimulateOptions* options) {
  command->add_option("--costs", options->costs, "Step costs, as bench/record_costs writes them");
  command->add_option("--voices", options->voices, "Listeners, who hear one text after the other")
      ->delimiter(',');
  command->add_option("--worlds", options->worlds, "Players in real time")->delimiter(',');
  command->add_option("--lanes", options->lanes, "Lanes, each with a core of its own")
      ->check(CLI::Range(1, 1024));
  command->add_option("--max-batch", options->max_batch, "Sessions in one step")
      ->check(CLI::Range(1, 4096));
  command->add_option("--seconds", options->seconds, "Simulated, not waited for")
      ->check(CLI::Range(1, 86400));
  command->add_option("--utterance", options->utterance_seconds, "Mean length of a text, seconds")
      ->check(CLI::Range(0.1, 600.0));
  command->add_option("--slowdown", options->slowdown, "Every step takes so many times as long")
      ->check(CLI::Range(0.01, 100.0));
  command->add_option("--seed", options->seed, "Of arrivals and lengths");
  command->add_option("--json", options->json, "Also write the numbers to this file");
}

int RunSimulate(const SimulateOptions& options) {
  std::ifstream file(options.costs);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto costs = simulator::ParseCosts(text);
  if (!costs.ok()) {
    std::fprintf(stderr, "firstbyte-bench: %s: %s\n", options.costs.c_str(),
                 std::string(costs.status().message()).c_str());
    return 1;
  }
  Slow(options.slowdown, &*costs);
  json runs = json::array();
  PrintHead();
  for (int voices : options.voices) {
    for (int worlds : options.worlds) {
      const Load load{.voices = std::max(0, voices),
                      .worlds = std::max(0, worlds),
                      .lanes = options.lanes,
                      .length = absl::Seconds(options.seconds),
                      .utterance = absl::Seconds(options.utterance_seconds),
                      .max_batch = options.max_batch,
                      .seed = options.seed};
      const Result result = simulator::Simulate(*costs, load);
      PrintRow(load, result);
      runs.push_back(ToJson(load, result));
    }
  }
  if (options.json.empty()) return 0;
  std::ofstream out(options.json);
  out << json{{"simulate", runs}}.dump(1) << "\n";
  return out.good() ? 0 : 1;
}

}  // namespace firstbyte

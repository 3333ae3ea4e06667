// firstbyte-bench simulate: what a load would feel (bench/simulate.h).
// firstbyte-bench shapes: transformers of published sizes on a GPU (bench/shapes_command.h).
// firstbyte-bench kernels | stages: what the engine's parts cost on this machine, held against what
// the machine can do, which is measured in the same run.
#include <cstdio>
#include <fstream>
#include <string>

#include <ATen/Parallel.h>

#include "CLI/CLI.hpp"
#include "bench/kernel_cases.h"
#include "bench/roofline.h"
#include "bench/shapes_command.h"
#include "bench/simulate.h"
#include "bench/thread_time.h"
#include "bench/voice_stages.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

struct Options {
  std::string isa, json, model = "models/aligned-mel-en", only;
};

nlohmann::json PrintRoofs(const Roofs& roofs, kernels::Isa isa) {
  const std::string name(kernels::IsaName(isa));
  std::printf(
      "%s: packed product %.1f GFLOP/s, both cores at once %.1f; LibTorch's sgemm %.1f\n"
      "read, GB/s of one core: L1 %.0f, L2 %.0f, L3 %.0f, memory %.0f\n",
      name.c_str(), roofs.gflops, roofs.gflops_both, roofs.sgemm_gflops, roofs.l1, roofs.l2,
      roofs.l3, roofs.memory);
  return {{"isa", name},
          {"gflops", roofs.gflops},
          {"gflops_both", roofs.gflops_both},
          {"sgemm_gflops", roofs.sgemm_gflops},
          {"read_gb_s", {roofs.l1, roofs.l2, roofs.l3, roofs.memory}}};
}

// Seconds of one call: the fastest of many runs of a millisecond or so.
double SecondsOf(const KernelCase& one) {
  const double first = Fastest(3, one.run);
  const int calls = static_cast<int>(1 + 1 / (first + 1e-4));
  return 1e-3 / calls * Fastest(25, [&] {
           for (int i = 0; i < calls; ++i) one.run();
         });
}

nlohmann::json Kernels(const kernels::KernelTable& table, const Roofs& roofs,
                       const std::string& only) {
  std::printf("\n%-32s %5s %10s %9s %8s  %-8s %8s\n", "kernel", "rows", "us", "GFLOP/s", "GB/s",
              "bound", "roofline");
  nlohmann::json rows;
  for (const KernelCase& one : VoiceKernelCases(table)) {
    if (one.name.find(only) == std::string::npos) continue;
    const double seconds = SecondsOf(one);
    const Bound bound = BoundOf(one.demand, roofs);
    const double gflops = 1e-9 * one.demand.flops / seconds;
    const double bandwidth = 1e-9 * one.demand.bytes / seconds;
    std::printf("%-32s %5d %10.2f %9.1f %8.1f  %-8s %6.0f %%\n", one.name.c_str(), one.rows,
                1e6 * seconds, gflops, bandwidth, bound.name, 100 * bound.seconds / seconds);
    rows.push_back({{"kernel", one.name},
                    {"rows", one.rows},
                    {"us", 1e6 * seconds},
                    {"gflops", gflops},
                    {"gb_s", bandwidth},
                    {"bound", bound.name},
                    {"share_of_roofline", bound.seconds / seconds}});
  }
  return rows;
}

void AddCommon(CLI::App* command, Options* options) {
  command->add_option("--isa", options->isa, "generic, avx2 or avx512; default: the best there is");
  command->add_option("--json", options->json, "Also write the numbers to this file");
}

int Main(int argc, char** argv) {
  CLI::App app("Measures the engine's parts against what this machine can do.", "firstbyte-bench");
  Options options;
  auto* kernels_command = app.add_subcommand("kernels", "Each hot kernel against its roofline");
  kernels_command->add_option("--only", options.only, "Kernels whose name contains this");
  auto* stages = app.add_subcommand("stages", "Stages of the voice, beside eager LibTorch");
  stages->add_option("--model", options.model, "Folder of an aligned_mel voice");
  SimulateOptions simulate;
  auto* simulate_command = app.add_subcommand(
      "simulate", "What a load would feel, by the costs of steps and the server's own policy");
  AddSimulateOptions(simulate_command, &simulate);
  ShapesOptions shapes;
  AddShapesOptions(
      app.add_subcommand("shapes", "Transformers of published sizes on a GPU, untrained"), &shapes);
  app.require_subcommand(1);
  for (CLI::App* command : {kernels_command, stages}) AddCommon(command, &options);
  CLI11_PARSE(app, argc, argv);
  if (simulate_command->parsed()) return RunSimulate(simulate);
  if (app.got_subcommand("shapes")) return RunShapes(shapes);

  const kernels::Isa isa = kernels::IsaFromName(options.isa).value_or(kernels::PreferredIsa());
  if (!kernels::Supported(isa)) {
    std::fprintf(stderr, "firstbyte-bench: not on this machine: %s\n", options.isa.c_str());
    return 1;
  }
  at::set_num_threads(1);
  const kernels::KernelTable& table = kernels::Kernels(isa);
  const Roofs roofs = MeasureRoofs(table);
  nlohmann::json out{{"machine", PrintRoofs(roofs, isa)}};
  if (kernels_command->parsed()) out["kernels"] = Kernels(table, roofs, options.only);
  if (stages->parsed()) out["voice"] = MeasureVoice(options.model, table, roofs);
  if (!options.json.empty()) std::ofstream(options.json) << out.dump(1) << "\n";
  return 0;
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) { return firstbyte::Main(argc, argv); }

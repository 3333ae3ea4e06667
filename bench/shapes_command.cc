#include "bench/shapes_command.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <utility>

#include "bench/shapes.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

using cuda::GraphMode;
using cuda::Number;
using nlohmann::json;
using shapes::Shape;

const std::vector<std::pair<std::string, Number>> kNumbers = {{"bf16", Number::kBf16},
                                                              {"fp16", Number::kF16},
                                                              {"tf32", Number::kTf32},
                                                              {"fp32", Number::kF32}};
constexpr std::pair<const char*, GraphMode> kModes[] = {{"eager", GraphMode::kEager},
                                                        {"graph", GraphMode::kGraphs}};

int Refuse(const absl::Status& status) {
  std::fprintf(stderr, "firstbyte-bench: %s\n", std::string(status.message()).c_str());
  return status.code() == absl::StatusCode::kFailedPrecondition ||
                 status.code() == absl::StatusCode::kNotFound
             ? 2
             : 1;
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const Shape& shape : shapes::Known()) names.push_back(shape.name);
  return names;
}

struct Summary {
  double mean, std, half;  // half of the mean's 95 % interval
  double least;
};
Summary Summarise(const std::vector<double>& seconds) {
  const auto n = static_cast<double>(seconds.size());
  const double mean = std::accumulate(seconds.begin(), seconds.end(), 0.0) / n;
  double squares = 0;
  for (double s : seconds) squares += (s - mean) * (s - mean);
  const double std = n > 1 ? std::sqrt(squares / (n - 1)) : 0;
  return {mean, std, 1.96 * std / std::sqrt(n), *std::min_element(seconds.begin(), seconds.end())};
}

Shape Sized(Shape shape, const ShapesOptions& options) {
  cuda::LlamaShape& l = shape.llama;
  if (shape.decodes()) {
    if (options.slots > 0) l.slots = l.most_rows = options.slots;
    if (options.context > 0) l.capacity = options.context;
  }
  return shape;
}

void PrintHead(const cuda::DeviceInfo& device) {
  std::printf("%s", device.name);
  if (device.bytes_a_second > 0)
    std::printf(", memory of %.2f TB/s", 1e-12 * device.bytes_a_second);
  std::printf("\n%-14s %-5s %-6s %5s %7s  %9s %7s %7s %9s  %11s  %8s %9s %8s\n", "shape", "dtype",
              "mode", "rows", "context", "ms a step", "std", "95% +-", "least", "tokens/s",
              "GB moved", "of memory", "TFLOP/s");
}

json Print(const Shape& shape, const std::string& dtype, const char* mode,
           const shapes::Result& result, double bytes_a_second) {
  const Summary s = Summarise(result.seconds);
  const cuda::LlamaShape& l = shape.llama;
  char share[16] = "-";
  json row = {{"shape", shape.name},
              {"parameters", shape.parameters()},
              {"dtype", dtype},
              {"mode", mode},
              {"rows", l.most_rows},
              {"tokens_of_a_row", l.tokens},
              {"context", l.capacity},
              {"steps", result.seconds.size()},
              {"ms_mean", 1e3 * s.mean},
              {"ms_std", 1e3 * s.std},
              {"ms_95", {1e3 * (s.mean - s.half), 1e3 * (s.mean + s.half)}},
              {"ms_least", 1e3 * s.least},
              {"tokens_per_s", result.tokens / s.mean},
              {"bytes_a_step", result.bytes},
              {"flops_a_step", result.flops}};
  if (bytes_a_second > 0) {
    const double of_memory = result.bytes / s.mean / bytes_a_second;
    row["share_of_memory"] = of_memory;
    std::snprintf(share, sizeof share, "%.0f %%", 100 * of_memory);
  }
  std::printf("%-14s %-5s %-6s %5d %7d  %9.3f %7.3f %7.3f %9.3f  %11.0f  %8.3f %9s %8.1f\n",
              shape.name.c_str(), dtype.c_str(), mode, l.most_rows, l.capacity, 1e3 * s.mean,
              1e3 * s.std, 1e3 * s.half, 1e3 * s.least, result.tokens / s.mean, 1e-9 * result.bytes,
              share, 1e-12 * result.flops / s.mean);
  std::fflush(stdout);
  return row;
}

}  // namespace

void AddShapesOptions(CLI::App* command, ShapesOptions* options) {
  std::string known = "Which, of";
  for (const Shape& shape : shapes::Known()) known += "\n" + shape.name + ": " + shape.about;
  command->add_option("--shape", options->shapes, known)
      ->delimiter(',')
      ->check(CLI::IsMember(Names()));
  command->add_option("--device", options->device, "cuda: the first GPU");
  command->add_option("--cuda-plugin", options->plugin,
                      "libfirstbyte_cuda.so; default: FIRSTBYTE_CUDA_PLUGIN, else looked for");
  command->add_option("--mode", options->mode, "eager, graph or both")
      ->check(CLI::IsMember({"eager", "graph", "both"}));
  command->add_option("--dtype", options->number, "bf16, fp16, tf32 or fp32")
      ->check(CLI::IsMember({"bf16", "fp16", "tf32", "fp32"}));
  command->add_option("--slots", options->slots, "Sessions that decode; default: the shape's")
      ->check(CLI::Range(1, 65535));
  command
      ->add_option("--context", options->context,
                   "Tokens of a session's cache, which sessions "
                   "fill to anything up to all of it; default: the shape's")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--steps", options->steps, "Measured")->check(CLI::Range(2, 1000000));
  command->add_option("--warmup", options->warmup, "Steps before")->check(CLI::Range(1, 1000000));
  command->add_option("--json", options->json, "Also write the numbers to this file");
  command->footer(
      "Examples:\n"
      "  firstbyte-bench shapes                                 320 sessions of Llama 3.2 3B's "
      "size\n"
      "  firstbyte-bench shapes --slots 64 --context 4096       fewer of them, longer\n"
      "  firstbyte-bench shapes --shape cs336-s,cs336-2.7b --json shapes.json");
}

int RunShapesOn(cuda::Gpu* gpu, const ShapesOptions& options) {
  cuda::DeviceInfo device{};
  absl::Status status = gpu->Call(gpu->plugin().info, &device);
  if (!status.ok()) return Refuse(status);
  PrintHead(device);
  shapes::Run run{.warmup = options.warmup, .steps = options.steps};
  for (const auto& [name, number] : kNumbers) {
    if (name == options.number) run.number = number;
  }
  json rows = json::array();
  for (const std::string& name : options.shapes) {
    const Shape shape = Sized(*shapes::Find(name), options);
    for (const auto& [mode, graphs] : kModes) {
      if (options.mode != "both" && options.mode != mode) continue;
      run.mode = graphs;
      const absl::StatusOr<shapes::Result> result = shapes::Measure(gpu, shape, run);
      if (!result.ok()) return Refuse(result.status());
      rows.push_back(Print(shape, options.number, mode, *result, device.bytes_a_second));
    }
  }
  if (options.json.empty()) return 0;
  std::ofstream out(options.json);
  out << json{{"device", device.name}, {"shapes", rows}}.dump(1) << "\n";
  return out.good() ? 0 : 1;
}

int RunShapes(const ShapesOptions& options) {
  if (options.device != "cuda") {
    std::fprintf(stderr, "firstbyte-bench: shapes run on --device cuda\n");
    return 2;
  }
  std::error_code error;
  const std::string binary = std::filesystem::read_symlink("/proc/self/exe", error).string();
  const char* named = std::getenv("FIRSTBYTE_CUDA_PLUGIN");
  const absl::StatusOr<std::string> path =
      cuda::FindPlugin(options.plugin.empty() && named != nullptr ? named : options.plugin, binary);
  if (!path.ok()) return Refuse(path.status());
  const absl::StatusOr<const cuda::PluginTable*> plugin = cuda::LoadPlugin(*path);
  if (!plugin.ok()) return Refuse(plugin.status());
  absl::StatusOr<cuda::DeviceHandle> device = cuda::OpenDevice(**plugin, 0);
  if (!device.ok()) return Refuse(device.status());
  cuda::Gpu gpu(**plugin, *std::move(device));
  return RunShapesOn(&gpu, options);
}

}  // namespace firstbyte

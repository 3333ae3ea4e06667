// world_bench [model folder]: what each stage of the embedded world costs on one core, beside the
// same networks in eager LibTorch in the same run.
//
// Every number is the fastest of several repetitions of the thread's processor time.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include "bench/eager_world.h"
#include "model/world/state_dit/state_dit.h"

namespace firstbyte {
namespace {

using state_dit::StateDit;
using state_dit::World;

constexpr int kWarmUp = 14, kRepetitions = 40;

// Of this thread's processor time: the machine is shared, and the engine runs on one thread.
double Milliseconds(const std::function<void()>& run) {
  auto now = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
  };
  const double begin = now();
  run();
  return now() - begin;
}

double Fastest(int times, const std::function<void()>& run) {
  double best = 1e9;
  for (int i = 0; i < times; ++i) best = std::min(best, Milliseconds(run));
  return best;
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "world_bench: %s\n", status.ToString().c_str());
  std::exit(1);
}

// Sessions that advance together, their rings full.
struct Cohort {
  Cohort(StateDit* m, int batch) : model(m) {
    for (int i = 0; i < batch; ++i) {
      auto session = model->Open({.seed = static_cast<uint64_t>(i) + 1});
      Check(session.status());
      raw.push_back(session->get());
      sessions.push_back(*std::move(session));
    }
    Step(Stage::kPrefill);
    for (int i = 0; i < kWarmUp; ++i) Block();
  }

  void Step(Stage stage) {
    StepReport report;
    Check(model->Wait(model->Submit(stage, raw, 1), &report));
    for (const absl::Status& status : report.session_status) Check(status);
  }
  void Act() {
    BlockActions actions;
    actions.keys[0] = true;
    actions.pointer_dx = 0.1f;
    for (Session* session : raw) Check(session->Push(actions));
  }
  void Block() {
    Act();
    while (raw[0]->work().generate) Step(Stage::kGenerate);
    Step(Stage::kDecode);
    for (Session* session : raw) session->Take();
    Step(Stage::kCommit);
  }

  StateDit* model;
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<Session*> raw;
};

struct Costs {
  double generate = 1e9, decode = 1e9, commit = 1e9;
  double block(int passes) const { return generate * passes + decode + commit; }
};

Costs Measure(StateDit* model, int batch) {
  Cohort cohort(model, batch);
  Costs costs;
  for (int i = 0; i < kRepetitions; ++i) {
    cohort.Act();
    costs.generate = std::min(costs.generate, Milliseconds([&] { cohort.Step(Stage::kGenerate); }));
    while (cohort.raw[0]->work().generate) cohort.Step(Stage::kGenerate);
    costs.decode = std::min(costs.decode, Milliseconds([&] { cohort.Step(Stage::kDecode); }));
    for (Session* session : cohort.raw) session->Take();
    costs.commit = std::min(costs.commit, Milliseconds([&] { cohort.Step(Stage::kCommit); }));
  }
  return costs;
}

void Stages(StateDit* model, const World& world, const SafeTensors& weights) {
  const int passes = static_cast<int>(world.config.dit.sigmas.size());
  std::printf("ms a step (all sessions of the batch together); eager LibTorch, its ratio\n");
  std::printf("%5s | %8s | %22s | %22s | %22s\n", "batch", "generate", "commit (DiT pass)",
              "decode", "block, and a session's");
  for (int batch : {1, 2, 4, 8, 12, 16}) {
    const Costs ours = Measure(model, batch);
    c10::InferenceMode guard;
    EagerWorld eager(weights, world.config, batch);
    const double pass = Fastest(10, [&] { eager.Pass(); });
    const double decode = Fastest(10, [&] { eager.Decode(); });
    std::printf("%5d | %8.3f | %6.3f (%7.3f, %3.1fx) | %6.3f (%7.3f, %3.1fx) | %10.3f %10.3f\n",
                batch, ours.generate, ours.commit, pass, pass / ours.commit, ours.decode, decode,
                decode / ours.decode, ours.block(passes), ours.block(passes) / batch);
  }
}

void Others(StateDit* model, const World& world) {
  Cohort cohort(model, 1);
  Session* session = cohort.raw[0];
  std::shared_ptr<const std::string> state;
  const double save = Fastest(20, [&] { state = std::make_shared<std::string>(*session->Save()); });
  const double open = Fastest(20, [&] { Check(model->Open({.state = state}).status()); });
  std::printf("save %.3f ms (%zu bytes), open it again %.3f ms\n", save, state->size(), open);
  RawInput input{.image = RgbImage{64, 64, std::vector<uint8_t>(64 * 64 * 3, 128)}};
  std::printf("place of a seed picture %.1f ms, of a prompt %.3f ms\n",
              Fastest(3, [&] { Check(model->Prepare(input).status()); }),
              Fastest(20, [&] { Check(model->Prepare({.text = "a snowy day"}).status()); }));
  std::vector<float> other(world.config.themes.size(), 0.0f);
  other.back() = 1;
  Check(session->Push(*model->Prepare({.embedding = other})));
  double slice = 1e9;
  int slices = 0;
  for (; session->work().prefill; ++slices) {
    slice = std::min(slice, Milliseconds([&] { cohort.Step(Stage::kPrefill); }));
  }
  std::printf("another prompt: %d slices of %.3f ms\n", slices, slice);
}

int Main(const std::string& folder) {
  at::set_num_threads(1);
  std::shared_ptr<const World> world;
  const double load = Milliseconds([&] {
    auto loaded = World::Load(folder, kernels::Kernels());
    Check(loaded.status());
    world = *loaded;
  });
  auto model = StateDit::Create(world, {.slots = 18, .max_batch = 16});
  Check(model.status());
  std::printf("%s, %s: loaded in %.0f ms\n", folder.c_str(),
              std::string(kernels::IsaName(kernels::PreferredIsa())).c_str(), load);
  auto weights = SafeTensors::Open(folder + "/model.safetensors");
  Check(weights.status());
  Stages(model->get(), *world, *weights);
  Others(model->get(), *world);
  return 0;
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) {
  return firstbyte::Main(argc > 1 ? argv[1] : "models/state-dit-rooms");
}

// world_bench [model folder]: what each stage of the embedded world costs on one core, beside the
// same networks in eager LibTorch in the same run and what the core can multiply. Every number is
// the fastest of several repetitions of the thread's processor time.
//
// world_bench <model folder> <lanes> <sessions of each> <blocks>: a long run on the wall clock.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include "bench/eager_world.h"
#include "bench/thread_time.h"
#include "bench/world_cohort.h"
#include "bench/world_lanes.h"

namespace firstbyte {
namespace {

using state_dit::StateDit;
using state_dit::World;

constexpr int kRepetitions = 40;

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
    while (cohort.first()->work().generate) cohort.Step(Stage::kGenerate);
    costs.decode = std::min(costs.decode, Milliseconds([&] { cohort.Step(Stage::kDecode); }));
    cohort.TakeAll();
    costs.commit = std::min(costs.commit, Milliseconds([&] { cohort.Commit(); }));
  }
  return costs;
}

// What a core reaches in the packed product that most of a frame is made of.
double PeakGflops() {
  constexpr int kSize = 384;
  std::vector<float> weight(kSize * kSize, 0.5f), x(kSize * kSize, 0.25f), y(kSize * kSize);
  nn::Linear linear(kernels::Kernels(), weight, {}, kSize, kSize);
  const double best = Fastest(kRepetitions, [&] { linear.Forward(x.data(), kSize, y.data()); });
  return 2e-6 * kSize * kSize * kSize / best;
}

// Multiplications and additions of one frame, in millions; convolutions as they are written.
double PassMflop(const state_dit::Config& c) {
  const state_dit::DitConfig& d = c.dit;
  const double inner = 64.0 * d.heads, keys = (d.window + 1.0) * state_dit::kTokens;
  const double token = 4 * inner * d.width + 2.0 * d.mlp * d.width + 2 * keys * inner;
  return 2e-6 * d.layers * (state_dit::kTokens * token + 6.0 * d.condition * d.width);
}

double DecodeMflop(const state_dit::Config& c) {
  const double a = c.decoder[0], b = c.decoder[1], e = c.decoder[2];
  return 2e-6 * (16 * (9 * a * c.latent_channels + 18 * a * a + 4 * a * b) +
                 64 * (36 * b * b + 4 * b * e) + 256 * (36 * e * e + 9 * 48 * e));
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

// What a generate step does before its DiT pass, and a decode step after the pictures.
void Parts(const World& world) {
  const state_dit::Config& c = world.config;
  const state_dit::State start{5, 5, 1, 0, 0, 0};
  const state_dit::Action forward{1};
  std::printf("%5s | %8s | %16s | %s\n", "batch", "dynamics", "rays, renderer", "bytes and sound");
  for (int batch : {1, 6, 16}) {
    state_dit::Dynamics::Buffers moving(c, batch);
    state_dit::Renderer::Buffers seeing(c, batch);
    std::vector<state_dit::State> after(batch);
    std::vector<float> estimates(16 * c.latent_channels * batch), samples(c.samples_per_frame);
    std::vector<float> columns(state_dit::kLatentSide * c.column_features());
    std::vector<float> pixels(64 * 64 * 3, 0.5f);
    std::vector<uint8_t> bytes(pixels.size());
    std::vector<state_dit::MoveRow> rows;
    std::vector<state_dit::Renderer::Place> places;
    for (int i = 0; i < batch; ++i) {
      rows.push_back({&start, &forward, &after[i]});
      places.push_back({{5, 5, 0.1f * static_cast<float>(i)},
                        0,
                        columns.data(),
                        &estimates[16 * c.latent_channels * i]});
    }
    const double move = Fastest(kRepetitions, [&] { world.dynamics.Advance(rows, &moving); });
    const double see =
        Fastest(kRepetitions, [&] { world.renderer.See(places, /*always=*/false, &seeing); });
    const double sound = Fastest(kRepetitions, [&] {
      state_dit::ToBytes(pixels.data(), static_cast<int64_t>(pixels.size()), bytes.data());
      world.audio.Decode(estimates.data(), samples.data());
    });
    std::printf("%5d | %8.3f | %16.3f | %.3f a session\n", batch, move, see, sound);
  }
}

void Others(StateDit* model, const World& world) {
  Cohort cohort(model, 1);
  Session* session = cohort.first();
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

int Main(const std::string& folder, const std::vector<int>& run) {
  at::set_num_threads(1);
  std::shared_ptr<const World> world;
  const double load = Milliseconds([&] {
    auto loaded = World::Load(folder, kernels::Kernels());
    Check(loaded.status());
    world = *loaded;
  });
  if (run.size() == 3) {
    RunLanes(world, {.lanes = run[0], .sessions = run[1], .blocks = run[2]});
    return 0;
  }
  auto model = StateDit::Create(world, {.slots = 18, .max_batch = 16});
  Check(model.status());
  std::printf("%s, %s: loaded in %.0f ms\n", folder.c_str(),
              std::string(kernels::IsaName(kernels::PreferredIsa())).c_str(), load);
  std::printf("a DiT pass is %.0f MFLOP, a picture %.0f; a core reaches %.0f GFLOP/s\n",
              PassMflop(world->config), DecodeMflop(world->config), PeakGflops());
  auto weights = SafeTensors::Open(folder + "/model.safetensors");
  Check(weights.status());
  Stages(model->get(), *world, *weights);
  Parts(*world);
  Others(model->get(), *world);
  return 0;
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) {
  std::vector<int> run;
  for (int i = 2; i < argc; ++i) run.push_back(std::max(1, std::atoi(argv[i])));
  return firstbyte::Main(argc > 1 ? argv[1] : "models/state-dit-rooms", run);
}

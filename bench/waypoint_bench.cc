// What a world of the published Waypoint-1.5 shapes makes of a GPU: pictures a second, decoded, and
// what a player waits for. Weights are random and made on the spot; only shapes cost time.
//
//   waypoint_bench --size 720p --players 1,4 --blocks 200          # JSON on stdout
//   waypoint_bench --size 360p --mode eager --dtype tf32
//
// Runs on a GPU or, without one, ends with one line that says why (exit code 2).
#include <algorithm>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "bench/random_waypoint.h"
#include "model/cuda/plugin_loader.h"
#include "model/registry/registry.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

struct Options {
  std::string size = "360p", dtype = "bf16", mode = "graph", plugin, folder;
  std::vector<int> players = {1};
  int blocks = 100, warmup = 20, gpu = 0;
};

absl::StatusOr<cuda::GpuOptions> Gpu(const Options& options) {
  std::error_code error;
  const auto binary = std::filesystem::read_symlink("/proc/self/exe", error);
  absl::StatusOr<std::string> path = cuda::FindPlugin(options.plugin, binary.string());
  if (!path.ok()) return path.status();
  absl::StatusOr<const cuda::PluginTable*> plugin = cuda::LoadPlugin(*path);
  if (!plugin.ok()) return plugin.status();
  cuda::GpuOptions gpu{.plugin = *plugin, .gpus = {options.gpu}};
  if (options.mode == "eager") gpu.mode = cuda::GraphMode::kEager;
  gpu.number = *cuda::NumberNamed(options.dtype);
  absl::Status tried = cuda::OpenGpu(gpu, 0).status();
  if (!tried.ok()) return tried;
  return gpu;
}

// Players who act without a pause, on a lane that does nothing else.
class Lane {
 public:
  Lane(Model* model, int players) : model_(model) {
    for (int i = 0; i < players; ++i) {
      absl::StatusOr<std::unique_ptr<Session>> session =
          model->Open({.seed = static_cast<uint64_t>(i + 1)});
      status_.Update(session.status());
      if (session.ok()) players_.push_back({.session = *std::move(session)});
    }
  }

  // Until each has seen so many blocks more. Two steps are under way where there are two to do.
  absl::Status Play(int blocks) {
    for (Player& player : players_) player.left = blocks;
    for (bool more = true; more && status_.ok();) {
      Act();
      const bool started = under_way_.size() < 2 && Start();
      more = started || !under_way_.empty();
      if (!started && more) Finish();
    }
    return status_;
  }
  std::vector<double> TakeWaits() { return std::exchange(waits_, {}); }

 private:
  struct Player {
    std::unique_ptr<Session> session;
    int left = 0;  // blocks to begin
    absl::Time acted = {};
  };
  struct UnderWay {
    Ticket ticket;
    std::vector<Player*> players;
  };

  void Act() {
    for (Player& player : players_) {
      if (player.left == 0 || !player.session->work().wants_block) continue;
      --player.left;
      BlockActions actions;
      actions.pointer_dx = 0.1f;
      status_.Update(player.session->Push(std::move(actions)));
      player.acted = Clock::Steady().Now();
    }
  }

  // The stage that most have to do, with as many of them as fit.
  bool Start() {
    std::vector<Player*> best;
    Stage stage = Stage::kGenerate;
    for (int i = 0; i < kStageCount; ++i) {
      std::vector<Player*> able;
      for (Player& player : players_) {
        if (CanRun(player.session->work(), static_cast<Stage>(i))) able.push_back(&player);
      }
      if (able.size() <= best.size()) continue;
      best = able;
      stage = static_cast<Stage>(i);
    }
    if (best.empty()) return false;
    best.resize(std::min<size_t>(best.size(), model_->info().max_batch));
    std::vector<Session*> batch;
    for (const Player* player : best) batch.push_back(player->session.get());
    under_way_.push_back({model_->Submit(stage, batch, 16), best});
    return true;
  }

  void Finish() {
    const UnderWay step = std::move(under_way_.front());
    under_way_.pop_front();
    StepReport report;
    status_.Update(model_->Wait(step.ticket, &report));
    for (const absl::Status& each : report.session_status) status_.Update(each);
    for (Player* player : step.players) {
      if (player->session->Take().block < 0) continue;
      waits_.push_back(absl::ToDoubleMilliseconds(Clock::Steady().Now() - player->acted));
    }
  }

  Model* const model_;
  std::vector<Player> players_;
  std::deque<UnderWay> under_way_;
  std::vector<double> waits_;  // from an action to its pictures, milliseconds
  absl::Status status_;
};

absl::StatusOr<nlohmann::json> Measure(Model* model, const Options& options, int players) {
  Lane lane(model, players);
  absl::Status status = lane.Play(options.warmup);
  lane.TakeWaits();
  const absl::Time begin = Clock::Steady().Now();
  if (status.ok()) status = lane.Play(options.blocks);
  const double seconds = absl::ToDoubleSeconds(Clock::Steady().Now() - begin);
  if (!status.ok()) return status;
  std::vector<double> waits = lane.TakeWaits();
  std::sort(waits.begin(), waits.end());
  const int frames = players * options.blocks * model->info().world->frames_per_block;
  return nlohmann::json{{"size", options.size},
                        {"dtype", options.dtype},
                        {"mode", options.mode},
                        {"players", players},
                        {"frames_per_second", frames / seconds},
                        {"frames_per_second_each", frames / seconds / players},
                        {"action_to_frame_ms_p50", waits[waits.size() / 2]},
                        {"action_to_frame_ms_p95", waits[waits.size() * 95 / 100]}};
}

absl::Status Run(const Options& options, const cuda::GpuOptions& gpu) {
  absl::Status written = WriteRandomWaypoint(options.size, options.folder);
  if (!written.ok()) return written;
  const int most = *std::max_element(options.players.begin(), options.players.end());
  auto lanes = OpenModelFolder(options.folder, {.slots = most, .max_batch = most, .gpu = gpu});
  if (!lanes.ok()) return lanes.status();
  for (int players : options.players) {
    absl::StatusOr<nlohmann::json> row = Measure(lanes->front().get(), options, players);
    if (!row.ok()) return row.status();
    std::printf("%s\n", row->dump().c_str());
  }
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("What a world of the Waypoint-1.5 shapes makes of a GPU.", "waypoint_bench");
  app.add_option("--size", options.size)->check(CLI::IsMember({"720p", "360p", "tiny"}));
  app.add_option("--dtype", options.dtype)->check(CLI::IsMember({"bf16", "fp32", "tf32"}));
  app.add_option("--mode", options.mode)->check(CLI::IsMember({"graph", "eager"}));
  app.add_option("--players", options.players, "At once; one measurement each")->delimiter(',');
  app.add_option("--blocks", options.blocks, "Of each player")->check(CLI::PositiveNumber);
  app.add_option("--gpu", options.gpu);
  app.add_option("--cuda-plugin", options.plugin, "libfirstbyte_cuda.so, where it is not found");
  CLI11_PARSE(app, argc, argv);
  const absl::StatusOr<cuda::GpuOptions> gpu = Gpu(options);
  if (!gpu.ok()) {
    std::fprintf(stderr, "waypoint_bench: %s\n", std::string(gpu.status().message()).c_str());
    return 2;
  }
  std::string folder = std::filesystem::temp_directory_path() / "waypoint-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return 2;
  options.folder = folder;
  const absl::Status status = Run(options, *gpu);
  std::filesystem::remove_all(folder);
  if (status.ok()) return 0;
  std::fprintf(stderr, "waypoint_bench: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) { return firstbyte::Main(argc, argv); }

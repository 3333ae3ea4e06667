// play_bench: what a player feels, end to end through gRPC, of a server that runs.
//
//   firstbyted & play_bench --json world.json            everything, about six minutes
//   play_bench lockstep realtime --target 10.0.0.5:50051
//   play_bench sessions --sessions 12,16 --seconds 60
//   play_bench long --blocks 5000 --pid $(pidof firstbyted)
//
//   lockstep   frames/s with four actions under way; action to frame, one action at a time
//   realtime   action to frame at the world's own rate, actions at random phases
//   sessions   N players in real time: blocks that came late for a player with a buffer of one
//   long       block time and memory of the server (--pid) by the thousand of a long session
//   prompt     four players in real time, one changes the prompt every 2 s: late blocks
//   snapshot   the same, one saves the world every 2 s; and how long saving delays the next block
//
// Timings of the client's own machine: it needs a little of a processor itself.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/strings/str_format.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "bench/world_player.h"
#include "client/rpc_status.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

using nlohmann::json;

struct Options {
  std::string target = "127.0.0.1:50051", model, json_path, video = "raw";
  std::vector<std::string> measures;
  std::vector<int> sessions = {1, 4, 8, 12, 16};
  int blocks = 5000, steps = 2000, actions = 400, seconds = 30, pid = 0;
  unsigned seed = 1;
  bool audio = true;
};

[[noreturn]] void Fail(const absl::Status& status, const Options& options) {
  absl::FPrintF(stderr, "play_bench: %s\n", ExplainError(status, options.target));
  std::exit(1);
}

void Say(const std::string& line) { absl::FPrintF(stderr, "  %s\n", line); }

double Percentile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  auto at = values.begin() + static_cast<int64_t>(p * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

json Percentiles(const std::vector<double>& values) {
  return {{"n", values.size()},
          {"p50", Percentile(values, .5)},
          {"p95", Percentile(values, .95)},
          {"p99", Percentile(values, .99)},
          {"max", Percentile(values, 1)}};
}

// Resident memory of the server in bytes; 0 without --pid.
int64_t Rss(int pid) {
  if (pid == 0) return 0;
  int64_t size = 0, resident = 0;
  std::ifstream("/proc/" + std::to_string(pid) + "/statm") >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

class Bench {
 public:
  explicit Bench(Options options) : options_(std::move(options)), client_(options_.target) {}

  json Measure(const std::string& what) {
    if (what == "lockstep") return Lockstep();
    if (what == "realtime") return Realtime();
    if (what == "sessions") return Sessions();
    if (what == "long") return Long();
    if (what == "prompt") {
      return Disturbed([](WorldPlayer* player, int time) {
        player->Prompt(time % 2 == 0 ? "a dark night" : "a sunny day");
      });
    }
    json result = Disturbed([](WorldPlayer* player, int) { player->Snapshot(); });
    result["delay_ms"] = SnapshotDelay();
    return result;
  }

 private:
  std::unique_ptr<WorldPlayer> Open(v1::Pacing pacing) {
    v1::OpenWorld open;
    open.set_model(options_.model);
    open.mutable_create()->set_seed(random_());
    open.set_pacing(pacing);
    open.mutable_video()->set_format(options_.video == "jpeg"  ? v1::VIDEO_FORMAT_JPEG
                                     : options_.video == "png" ? v1::VIDEO_FORMAT_PNG
                                                               : v1::VIDEO_FORMAT_RAW_RGB);
    if (options_.audio) open.mutable_audio()->set_encoding(v1::AUDIO_ENCODING_PCM16);
    auto player = WorldPlayer::Open(&client_, open);
    if (!player.ok()) Fail(player.status(), options_);
    return *std::move(player);
  }

  void Close(WorldPlayer* player) {
    if (auto status = player->Close(); !status.ok()) Fail(status, options_);
  }

  // `blocks` actions, at most `under_way` of them not shown yet.
  PlayerNotes WalkInLockstep(int blocks, int under_way) {
    auto player = Open(v1::PACING_LOCKSTEP);
    for (int i = 0; i < blocks; ++i) {
      player->Act(&random_);
      if (!player->WaitForAction(under_way - 1)) break;
    }
    player->WaitForAction();
    Close(player.get());
    return player->notes();
  }

  json Lockstep() {
    WalkInLockstep(100, 4);  // warm
    const PlayerNotes fast = WalkInLockstep(options_.steps, 4);
    const double seconds = absl::ToDoubleSeconds(fast.last - fast.first);
    const double fps = static_cast<double>(fast.frames - 1) / seconds;
    const PlayerNotes one = WalkInLockstep(options_.steps, 1);
    json result = {{"frames_per_second", fps},
                   {"action_to_frame_ms", Percentiles(one.action_to_frame_ms)}};
    Say(absl::StrFormat("%.1f frames/s; action to frame p50 %.2f ms, p95 %.2f ms", fps,
                        Percentile(one.action_to_frame_ms, .5),
                        Percentile(one.action_to_frame_ms, .95)));
    return result;
  }

  // Waits without spinning; the lock is nobody else's.
  void Wait(absl::Duration duration) {
    const absl::Time end = Clock::Steady().Now() + duration;
    MutexLock lock(&mu_);
    for (absl::Time now; (now = Clock::Steady().Now()) < end;) {
      never_.WaitFor(&mu_, absl::ToChronoNanoseconds(end - now));
    }
  }

  double Uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random_);
  }

  json Realtime() {
    auto player = Open(v1::PACING_REALTIME);
    Wait(absl::Seconds(1));
    for (int i = 0; i < options_.actions; ++i) {
      player->Act(&random_);
      Wait(absl::Milliseconds(Uniform(110, 290)));
    }
    Close(player.get());
    const PlayerNotes notes = player->notes();
    Say(absl::StrFormat("action to frame p50 %.1f ms, p95 %.1f ms; %d late",
                        Percentile(notes.action_to_frame_ms, .5),
                        Percentile(notes.action_to_frame_ms, .95), notes.late));
    return {{"action_to_frame_ms", Percentiles(notes.action_to_frame_ms)},
            {"block_interval_ms", Percentiles(notes.interval_ms)},
            {"late_blocks", notes.late},
            {"skipped_blocks", notes.skipped},
            {"blocks", notes.blocks}};
  }

  // `count` players for --seconds, each of which acts about three times a second. `disturb` is
  // called for the first player every two seconds.
  using Disturb = std::function<void(WorldPlayer* player, int time)>;
  json Together(int count, const Disturb& disturb) {
    std::vector<std::unique_ptr<WorldPlayer>> players;
    for (int i = 0; i < count; ++i) players.push_back(Open(v1::PACING_REALTIME));
    Wait(absl::Seconds(1));
    const absl::Time start = Clock::Steady().Now();
    absl::Duration next_disturbance = absl::Seconds(2);
    int disturbances = 0;
    while (Clock::Steady().Now() - start < absl::Seconds(options_.seconds)) {
      players[random_() % players.size()]->Act(&random_);
      Wait(absl::Milliseconds(Uniform(0.5, 1.5) * 333 / count));
      if (disturb && Clock::Steady().Now() - start > next_disturbance) {
        disturb(players[0].get(), disturbances++);
        next_disturbance += absl::Seconds(2);
      }
    }
    std::vector<double> action_to_frame, interval, block;
    json late = json::array();
    int64_t late_in_all = 0, skipped = 0, blocks = 0;
    for (auto& player : players) Close(player.get());
    for (auto& player : players) {
      const PlayerNotes notes = player->notes();
      action_to_frame.insert(action_to_frame.end(), notes.action_to_frame_ms.begin(),
                             notes.action_to_frame_ms.end());
      interval.insert(interval.end(), notes.interval_ms.begin(), notes.interval_ms.end());
      block.insert(block.end(), notes.block_ms.begin(), notes.block_ms.end());
      late.push_back(notes.late);
      late_in_all += notes.late;
      skipped += notes.skipped;
      blocks += notes.blocks;
    }
    Say(
        absl::StrFormat("%d sessions: %d of %d blocks late; a block p50 %.1f ms, p99 %.1f ms; "
                        "action to frame p50 %.1f ms, p95 %.1f ms",
                        count, late_in_all, blocks, Percentile(block, .5), Percentile(block, .99),
                        Percentile(action_to_frame, .5), Percentile(action_to_frame, .95)));
    const PlayerNotes first = players[0]->notes();
    return {{"sessions", count},
            {"seconds", options_.seconds},
            {"blocks", blocks},
            {"late_blocks", late_in_all},
            {"late_blocks_by_session", late},
            {"skipped_blocks", skipped},
            {"action_to_frame_ms", Percentiles(action_to_frame)},
            {"block_interval_ms", Percentiles(interval)},
            {"block_ms", Percentiles(block)},
            {"disturbances", disturbances},
            {"snapshots", first.snapshots},
            {"blocks_until_prompt_applied", Percentiles(first.prompt_blocks)}};
  }

  json Sessions() {
    json runs = json::array();
    for (int count : options_.sessions) {
      runs.push_back(Together(count, nullptr));
    }
    return runs;
  }

  json Disturbed(const Disturb& disturb) {
    constexpr int kPlayers = 4;
    json result = {{"without", Together(kPlayers, nullptr)}};
    result["with"] = Together(kPlayers, disturb);
    return result;
  }

  // How much later the block after a snapshot comes than one before which nothing was saved, in
  // LOCKSTEP: the copy of the state on the lane, and the control's own way.
  json SnapshotDelay() {
    constexpr int kBlocks = 400, kEvery = 10;
    auto player = Open(v1::PACING_LOCKSTEP);
    for (int i = 0; i < kBlocks; ++i) {
      if (i % kEvery == kEvery - 1) player->Snapshot();
      player->Act(&random_);
      if (!player->WaitForAction()) break;
    }
    Close(player.get());
    std::vector<double> with, without;
    const std::vector<double> times = player->notes().action_to_frame_ms;
    for (size_t i = kEvery; i < times.size(); ++i) {
      if (i % kEvery == kEvery - 1) {
        with.push_back(times[i]);
      } else if (i % kEvery != 0) {  // while the snapshot was being stored
        without.push_back(times[i]);
      }
    }
    const double p50 = Percentile(with, .5) - Percentile(without, .5);
    Say(absl::StrFormat("a snapshot delays the next block by %.2f ms (p50)", p50));
    return {{"p50", p50}, {"with", Percentiles(with)}, {"without", Percentiles(without)}};
  }

  json Long() {
    constexpr int kPart = 1000;
    auto player = Open(v1::PACING_LOCKSTEP);
    std::vector<int64_t> rss;  // at the end of each part
    int64_t made = 0;
    for (; made < options_.blocks; ++made) {
      player->Act(&random_);
      if (!player->WaitForAction()) break;
      if ((made + 1) % kPart == 0 || made + 1 == options_.blocks) rss.push_back(Rss(options_.pid));
    }
    Close(player.get());
    const std::vector<double> times = player->notes().action_to_frame_ms;
    json parts = json::array();
    for (size_t begin = 0; begin < times.size(); begin += kPart) {
      const size_t end = std::min(times.size(), begin + kPart);
      json part = Percentiles(
          {times.begin() + static_cast<int64_t>(begin), times.begin() + static_cast<int64_t>(end)});
      part["rss_bytes"] = rss[std::min(rss.size() - 1, begin / kPart)];
      Say(absl::StrFormat("blocks %d to %d: p50 %.2f ms, p99 %.2f ms; memory %.1f MB", begin,
                          end - 1, part["p50"].get<double>(), part["p99"].get<double>(),
                          1e-6 * part["rss_bytes"].get<double>()));
      parts.push_back(std::move(part));
    }
    return {{"blocks", made}, {"parts", parts}};
  }

  const Options options_;
  WorldClient client_;
  std::mt19937 random_{options_.seed};
  Mutex mu_;
  CondVar never_;
};

int Run(int argc, char** argv) {
  const std::vector<std::string> all = {"lockstep", "realtime", "sessions",
                                        "long",     "prompt",   "snapshot"};
  Options options;
  CLI::App app("What a player of a firstbyte world feels, end to end.", "play_bench");
  app.footer(
      "Examples:\n"
      "  play_bench lockstep realtime --target 10.0.0.5:50051\n"
      "  play_bench sessions --sessions 12,16 --seconds 60\n"
      "  play_bench long --blocks 5000 --pid $(pidof firstbyted) --json -");
  app.add_option("measures", options.measures,
                 "Some of: lockstep realtime sessions long prompt "
                 "snapshot; all by default")
      ->check(CLI::IsMember(all));
  app.add_option("--target", options.target, "The server, host:port");
  app.add_option("--model", options.model, "Name of the world");
  app.add_option("--video", options.video, "raw, jpeg or png")
      ->check(CLI::IsMember({"raw", "jpeg", "png"}));
  app.add_flag("--audio,!--no-audio", options.audio, "Ask for the sound too");
  app.add_option("--sessions", options.sessions, "How many players")->delimiter(',');
  app.add_option("--seconds", options.seconds, "Of a run with several players");
  app.add_option("--steps", options.steps, "Blocks of lockstep");
  app.add_option("--actions", options.actions, "Of realtime");
  app.add_option("--blocks", options.blocks, "Of long");
  app.add_option("--pid", options.pid, "The server's process, for its memory");
  app.add_option("--seed", options.seed, "Of what the players do");
  app.add_option("--json", options.json_path, "Write the results here; '-': standard output");
  CLI11_PARSE(app, argc, argv);
  json results = json::object();
  Bench bench(options);
  for (const std::string& what : options.measures.empty() ? all : options.measures) {
    absl::FPrintF(stderr, "%s\n", what);
    results[what] = bench.Measure(what);
  }
  if (options.json_path == "-") {
    std::cout << results.dump(1) << "\n";
  } else if (!options.json_path.empty() &&
             !(std::ofstream(options.json_path) << results.dump(1) << "\n")) {
    absl::FPrintF(stderr, "play_bench: cannot write %s\n", options.json_path);
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) { return firstbyte::Run(argc, argv); }

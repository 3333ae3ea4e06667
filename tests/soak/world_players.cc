// Random players against a running server:
//
//   world_players TARGET SECONDS PLAYERS SEED
//
// Exit code 1 when a promise was broken; what was done is one line on stdout.
#include <chrono>
#include <iostream>
#include <thread>

#include "absl/strings/numbers.h"
#include "tests/soak/world_player.h"

namespace firstbyte {
namespace {

std::vector<std::string> Worlds(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  v1::ListWorldsResponse worlds;
  const grpc::Status status = v1::WorldService::NewStub(channel)->ListWorlds(&context, {}, &worlds);
  if (!status.ok()) std::cerr << status.error_message() << "\n";
  std::vector<std::string> names;
  for (const v1::World& world : worlds.worlds()) names.push_back(world.model());
  return names;
}

void Add(const SoakCounts& counts, SoakCounts* sum) {
  sum->opened += counts.opened;
  sum->resumed += counts.resumed;
  sum->forked += counts.forked;
  sum->refused += counts.refused;
  sum->cancelled += counts.cancelled;
  sum->closed += counts.closed;
  sum->blocks += counts.blocks;
  sum->failures.insert(sum->failures.end(), counts.failures.begin(), counts.failures.end());
}

SoakCounts Play(const std::string& target, double seconds, int players, uint64_t seed) {
  auto channel = grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
  SoakCounts sum;
  const std::vector<std::string> worlds = Worlds(channel);
  if (worlds.empty()) sum.failures.push_back("there is no world");
  if (worlds.empty()) return sum;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  std::vector<std::unique_ptr<WorldPlayer>> all;
  std::vector<std::thread> threads;
  for (int i = 0; i < players; ++i) {
    all.push_back(std::make_unique<WorldPlayer>(channel, worlds, seed * 1000 + i));
    threads.emplace_back([player = all.back().get(), end] {
      while (std::chrono::steady_clock::now() < end) player->PlayOnce();
      player->CleanUp();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& player : all) Add(player->counts(), &sum);
  return sum;
}

int Main(int argc, char** argv) {
  double seconds = 0;
  int players = 0;
  uint64_t seed = 0;
  if (argc != 5 || !absl::SimpleAtod(argv[2], &seconds) || !absl::SimpleAtoi(argv[3], &players) ||
      !absl::SimpleAtoi(argv[4], &seed)) {
    std::cerr << "usage: world_players TARGET SECONDS PLAYERS SEED\n";
    return 2;
  }
  const SoakCounts sum = Play(argv[1], seconds, players, seed);
  std::cout << sum.opened << " opened, " << sum.resumed << " resumed, " << sum.forked << " forked, "
            << sum.refused << " refused, " << sum.cancelled << " left, " << sum.closed
            << " closed, " << sum.blocks << " blocks\n";
  for (const std::string& failure : sum.failures) std::cerr << failure << "\n";
  return sum.failures.empty() ? 0 : 1;
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) { return firstbyte::Main(argc, argv); }

// Text to phones for the Python peers, so that they speak exactly what the server would.
//
//   front_end_pipe models/aligned-mel-en/config.json
//
// One JSON string a line on standard input; for each, little-endian on standard output:
//   int32 clauses; per clause int32 n, int32[n] phones, float32[n][28] flags
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "model/io/front_end.h"
#include "model/io/segmenter.h"
#include "nlohmann/json.hpp"

namespace firstbyte {
namespace {

std::vector<Clause> ClausesOf(const std::string& text) {
  Segmenter segmenter;
  auto clauses = segmenter.Append(text);
  auto rest = segmenter.Flush();
  std::vector<Clause> all;
  if (clauses.ok()) all = *clauses;
  if (rest.ok()) all.insert(all.end(), rest->begin(), rest->end());
  return all;
}

template <typename T>
void Write(const T* values, size_t count) {
  std::fwrite(values, sizeof(T), count, stdout);
}

void Answer(const std::vector<ClausePhones>& clauses) {
  auto count = static_cast<int32_t>(clauses.size());
  Write(&count, 1);
  for (const ClausePhones& clause : clauses) {
    auto phones = static_cast<int32_t>(clause.phones.size());
    Write(&phones, 1);
    Write(clause.phones.data(), clause.phones.size());
    Write(clause.flags.data(), clause.flags.size());
  }
  std::fflush(stdout);
}

int Run(const char* config_path) {
  auto config = nlohmann::json::parse(std::ifstream(config_path), nullptr, false);
  if (config.is_discarded() || !config.contains("phones")) {
    std::cerr << "front_end_pipe: no phones in " << config_path << "\n";
    return 1;
  }
  FrontEnd front_end(config["phones"].get<std::vector<std::string>>());
  for (std::string line; std::getline(std::cin, line);) {
    auto text = nlohmann::json::parse(line, nullptr, false);
    std::vector<ClausePhones> answer;
    if (text.is_string()) {
      for (const Clause& clause : ClausesOf(text.get<std::string>())) {
        if (!clause.speakable()) continue;
        auto phones = front_end.Process(clause.text);
        if (phones.ok()) answer.push_back(*std::move(phones));
      }
    }
    Answer(answer);
  }
  return 0;
}

}  // namespace
}  // namespace firstbyte

int main(int argc, char** argv) {
  if (argc == 2) return firstbyte::Run(argv[1]);
  std::cerr << "usage: front_end_pipe CONFIG.json\n";
  return 2;
}

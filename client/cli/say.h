// `firstbyte say`: text to speech from a terminal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace firstbyte {

struct SayOptions {
  std::string target;
  std::string text;  // "-": standard input, spoken as it arrives
  std::string out;   // .wav, .opus, "-" or empty (play)
  bool play = false;
  std::string encoding;  // pcm16, wav, opus; empty: what `out` needs
  std::string voice, model, language;
  std::optional<double> speaking_rate;
  std::optional<uint64_t> seed;
  int bitrate_bps = 0;
};

// Speaks; returns the exit code. Messages go to stderr, one line each. Blocks SIGINT and SIGTERM
// while it runs: the first cancels the call and leaves a valid file.
int Say(const SayOptions& options);

}  // namespace firstbyte

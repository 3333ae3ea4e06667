// Where speech goes: a file, standard output, a player.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "firstbyte/v1/common.pb.h"

namespace firstbyte {

// One stream, one thread. Start once, Write any number of times, Close at the end: after it, and
// in whatever state the stream ended, a file is complete and valid.
class AudioSink {
 public:
  virtual ~AudioSink() = default;
  virtual absl::Status Start(const v1::AudioFormat& format) = 0;
  virtual absl::Status Write(const v1::AudioChunk& chunk) = 0;
  virtual absl::Status Close() = 0;
};

// The file appears when the stream starts, not before: a refused request leaves no empty file.
std::unique_ptr<AudioSink> NewWavFileSink(std::string path);

// Ogg-Opus; the stream must be Opus. "-" is standard output.
std::unique_ptr<AudioSink> NewOggFileSink(std::string path);

// What the server sends, on standard output: WAV (header and samples) or bare PCM16.
std::unique_ptr<AudioSink> NewStdoutSink();

// The first of aplay, paplay, ffplay and play in PATH; empty when there is none.
std::string FindPlayer();

// Plays through `player` (a path that FindPlayer returned). Close waits until it has played out;
// destruction without Close stops it. `quiet`: what it has to say is not shown.
std::unique_ptr<AudioSink> NewPlayerSink(std::string player, bool quiet = false);

}  // namespace firstbyte

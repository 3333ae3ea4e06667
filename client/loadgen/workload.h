// What is asked of the server.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/loadgen/call.h"

namespace firstbyte {

// What requests are drawn from. Empty lists: the default of `config` or of the server.
struct WorkloadSpec {
  std::vector<std::string> texts;  // not empty
  std::vector<std::string> voices;
  std::vector<v1::AudioEncoding> encodings;
  v1::SynthesizeConfig config;
  WorldScript world;
  double cancel_rate = 0, slow_reader_rate = 0, disconnect_rate = 0;  // of all requests
};

// Sentences of a conversation, 3 to 30 words.
absl::Span<const char* const> BuiltInTexts();

// One text a line, blank lines skipped. An error names the file.
absl::StatusOr<std::vector<std::string>> ReadTexts(const std::string& path);

// A text of that many words, made of the built-in ones.
std::string TextOfWords(int words, uint64_t draw);

// A fixed sequence of requests: the n-th one of stream k is the same in every run with `seed`.
// Immutable, thread-safe.
class Workload {
 public:
  Workload(WorkloadSpec spec, uint64_t seed);

  const std::string& Text(int stream, int turn) const;
  uint64_t SpeechSeed(int stream, int turn) const;  // for the server's sampling; never 0
  // What `plan`, whose `stream` is set, is to do.
  void Fill(int turn, CallPlan* plan) const;

  const WorkloadSpec& spec() const { return spec_; }

 private:
  Behaviour BehaviourOf(int stream, int turn) const;

  const WorkloadSpec spec_;
  const uint64_t seed_;
};

}  // namespace firstbyte

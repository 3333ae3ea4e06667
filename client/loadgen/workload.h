// What the listeners ask to hear.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace firstbyte {

// Sentences of a conversation, 3 to 30 words.
absl::Span<const char* const> BuiltInTexts();

// One text a line, blank lines skipped. An error names the file.
absl::StatusOr<std::vector<std::string>> ReadTexts(const std::string& path);

// A fixed sequence of texts: the n-th text of listener k is the same in every run with `seed`.
// Immutable, thread-safe.
class Workload {
 public:
  Workload(std::vector<std::string> texts, uint64_t seed);  // `texts` not empty

  const std::string& Text(int listener, int turn) const;
  uint64_t SpeechSeed(int listener, int turn) const;  // for the server's sampling

 private:
  uint64_t Draw(int listener, int turn, int purpose) const;

  const std::vector<std::string> texts_;
  const uint64_t seed_;
};

}  // namespace firstbyte

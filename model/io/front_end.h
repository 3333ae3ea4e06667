// English text to phones, by libflite: numbers and abbreviations spelled out, lexicon and
// letter-to-sound rules, phrasing and accents.
//
// Thread-safe. flite's error handling is one process-wide jump buffer, so every call runs on one
// thread that the FrontEnd owns; a process should have one FrontEnd. About 1 ms a clause.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace firstbyte {

// What the speech model reads of a clause.
struct ClausePhones {
  // The meaning of the flags is in flite_phones.h.
  static constexpr int kFlags = 28;

  std::vector<int> phones;                       // [n], indices into the model's phone list
  std::vector<std::array<float, kFlags>> flags;  // [n]
};

class FrontEnd {
 public:
  // More phones than this in one clause are refused; the segmenter's longest clause is far below.
  static constexpr int kMaxPhones = 4096;

  // `phone_names` is the model's list (config.json "phones"); index 0 is padding. `fault`, for
  // tests, runs inside flite's protected section with the clause's text.
  explicit FrontEnd(std::vector<std::string> phone_names,
                    void (*fault)(const char* text) = nullptr);
  // Clauses being processed are finished; nobody may call Process() any more.
  ~FrontEnd();

  // Blocks until the FrontEnd's thread has processed `clause`: printable ASCII, as the Segmenter
  // makes it (anything else is taken for a space). Begins and ends with a pause.
  // INVALID_ARGUMENT (TEXT_NOT_PROCESSABLE): flite gave up on this text; later clauses are not
  // harmed. INTERNAL: a phone that the model's list lacks.
  absl::StatusOr<ClausePhones> Process(absl::string_view clause);

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace firstbyte

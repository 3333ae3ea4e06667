// Cuts streamed text into clauses, the unit of speech.
//
// A clause is a sentence. Its end (`.`, `?`, `!`, an ellipsis or a blank line) counts only once the
// first character of the next token has arrived, or Flush() was called, so that abbreviations
// ("Mr. Smith", "3.14", "e.g. this") are told apart and so that how the text was split into
// messages never changes the result. A sentence longer than kMaxWords words, or than
// kMaxClauseBytes, is cut at its last comma, or at the last space.
//
// Text is folded to ASCII on the way (ascii_fold.h). Memory is bounded whatever arrives: a token
// without white space is cut every kMaxTokenBytes.
//
// Not thread-safe: one Segmenter per stream.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace firstbyte {

struct Clause {
  std::string text;  // printable ASCII, tokens separated by one space
  int64_t begin_byte =
      0;                 // the clause's bytes in the source text, counted from the stream's start:
  int64_t end_byte = 0;  // [begin_byte, end_byte), without surrounding white space

  // False when no letter or digit is left: nothing to say, to be skipped.
  bool speakable() const;
};

class Segmenter {
 public:
  static constexpr int kMaxWords = 20;         // longer sentences are cut
  static constexpr int kMaxTokenBytes = 64;    // longer tokens are cut, after folding
  static constexpr int kMaxClauseBytes = 320;  // so that 20 "words" of digits stay bearable

  // Takes the next piece of text, any split, also inside a character. Returns the clauses that are
  // now complete, in order. INVALID_ARGUMENT (INVALID_UTF8) where the text stops being UTF-8; the
  // Segmenter must not be used after that.
  absl::StatusOr<std::vector<Clause>> Append(absl::string_view utf8);

  // Ends the sentence now, for a flush or the end of the text: returns what was held, zero clauses
  // or one. Byte positions go on counting. INVALID_ARGUMENT when the text ended inside a character.
  absl::StatusOr<std::vector<Clause>> Flush();

  // The number of source bytes taken so far.
  int64_t position() const { return position_; }

 private:
  struct Token {
    std::string text;
    int64_t begin_byte;
    int64_t end_byte;
  };

  void TakeCharacter(char32_t code_point, int64_t begin, int64_t end, std::vector<Clause>* out);
  void StartToken(char first, int64_t begin, std::vector<Clause>* out);
  void EndToken();
  void CutLongSentence(std::vector<Clause>* out);
  void Emit(size_t tokens, std::vector<Clause>* out);

  std::string partial_character_;  // up to 3 bytes of a character whose rest has not arrived
  std::vector<Token> tokens_;      // complete tokens of the open sentence, at most kMaxWords
  Token token_{"", 0, 0};          // the token being read; empty text: between tokens
  int64_t sentence_bytes_ = 0;     // folded bytes of tokens_, with the spaces between
  int newlines_ = 0;               // since the last token
  int64_t position_ = 0;
};

}  // namespace firstbyte

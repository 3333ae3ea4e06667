// Folds Unicode text to the ASCII that the English front end can read, one character at a time.
//
// Thread-safe (pure functions).
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace firstbyte {

// The ASCII spelling of `code_point`: accented Latin letters lose their accents, curly quotes and
// dashes become plain ones, Unicode spaces a space. Empty for what cannot be spoken: other
// scripts, emoji, combining marks, control characters. The view refers to static storage.
absl::string_view FoldToAscii(char32_t code_point);

// One decoding step of UTF-8.
struct Utf8Character {
  char32_t code_point = 0;
  int length = 0;  // bytes used; 0: `bytes` ends inside the character; -1: not UTF-8
};

// Decodes the first character of `bytes`, which must not be empty. Overlong forms, surrogates and
// values over U+10FFFF are not UTF-8.
Utf8Character DecodeUtf8(absl::string_view bytes);

}  // namespace firstbyte
